"""Servers of Qdrant without a server: its client's own local mode, and its engine itself, in this process (Qdrant Edge).

Edge has no collections and no metadata: one shard of it stands for each collection, and requests are put into its words.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import qdrant_edge as edge
from qdrant_client import QdrantClient, models

from cir.gallery.served.server import Server


class EdgeClient:
    """What `cir.gallery.served.server.Client` asks, answered by Qdrant's engine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.shards: dict[str, edge.EdgeShard] = {}
        self.said: dict[str, Any] = {}

    def collection_exists(self, collection_name: str) -> bool:
        return collection_name in self.shards

    def create_collection(self, collection_name: str, *, vectors_config, metadata, **_: object) -> None:
        place = self.folder / str(len(self.shards))
        vectors = {
            name: edge.EdgeVectorParams(size=one.size, distance=edge.Distance.Dot)
            for name, one in vectors_config.items()
        }
        self.shards[collection_name] = edge.EdgeShard.create(str(place), edge.EdgeConfig(vectors=vectors))
        params = SimpleNamespace(vectors=vectors_config)
        self.said[collection_name] = SimpleNamespace(metadata=metadata, params=params)

    def update_collection(self, collection_name: str, *, metadata) -> None:
        self.said[collection_name].metadata.update(metadata)

    def get_collection(self, collection_name: str) -> Any:
        self._shard(collection_name)
        return SimpleNamespace(config=self.said[collection_name])

    def create_payload_index(self, collection_name: str, *, field_name: str, field_schema) -> None:
        kind = getattr(edge.PayloadSchemaType, field_schema.value.capitalize())
        self._shard(collection_name).update(edge.UpdateOperation.create_field_index(field_name, kind))

    def upsert(self, collection_name: str, *, points, wait: bool) -> None:
        own = [edge.Point(id=one.id, vector=one.vector, payload=one.payload) for one in points]
        self._shard(collection_name).update(edge.UpdateOperation.upsert_points(own))

    def delete(self, collection_name: str, *, points_selector, wait: bool) -> None:
        self._shard(collection_name).update(edge.UpdateOperation.delete_points(points_selector.points))

    def count(self, collection_name: str, *, count_filter=None, exact: bool) -> Any:
        request = edge.CountRequest(exact=exact, filter=_filter(count_filter))
        return SimpleNamespace(count=self._shard(collection_name).count(request))

    def retrieve(self, collection_name: str, *, ids, with_payload, with_vectors) -> list[Any]:
        return self._shard(collection_name).retrieve(ids, with_payload, with_vectors)

    def scroll(
        self, collection_name: str, *, limit, offset=None, scroll_filter=None, with_payload, with_vectors
    ) -> tuple[list[Any], Any]:
        return self._shard(collection_name).scroll(
            edge.ScrollRequest(offset, limit, _filter(scroll_filter), with_payload, with_vectors)
        )

    def facet(self, collection_name: str, *, key: str, limit: int, exact: bool) -> Any:
        return self._shard(collection_name).facet(edge.FacetRequest(key, limit, exact))

    def query_batch_points(self, collection_name: str, *, requests) -> list[Any]:
        batch = edge.QueryBatchRequest([_request(one) for one in requests])
        return [SimpleNamespace(points=found) for found in self._shard(collection_name).query_batch(batch)]

    def _shard(self, name: str) -> edge.EdgeShard:
        if name not in self.shards:
            raise ValueError(f"Collection {name} not found")
        return self.shards[name]


def local_server() -> Server:
    return Server(QdrantClient(":memory:"), "here", backoff_seconds=0.0)


def edge_server(folder: Path) -> Server:
    return Server(EdgeClient(folder), "here", backoff_seconds=0.0)


def _request(one: models.QueryRequest) -> edge.QueryRequest:
    prefetches = [
        edge.Prefetch(
            own.limit, edge.Query.Nearest(own.query, own.using), params=_EXACT, filter=_filter(own.filter)
        )
        for own in ([one.prefetch] if isinstance(one.prefetch, models.Prefetch) else one.prefetch or [])
    ]
    query: Any = (
        edge.Formula(_expression(one.query.formula))
        if isinstance(one.query, models.FormulaQuery)
        else edge.Query.Nearest(one.query, one.using)
    )
    return edge.QueryRequest(
        one.limit,
        one.offset,
        query,
        prefetches,
        with_payload=one.with_payload,
        with_vector=one.with_vector,
        filter=_filter(one.filter),
        params=_EXACT,
    )


_EXACT = edge.SearchParams(exact=True)


def _expression(one: Any) -> edge.Expression:
    if isinstance(one, str):
        return edge.Expression.Variable(one)
    if isinstance(one, models.MultExpression):
        return edge.Expression.Mult([_expression(part) for part in one.mult])
    if isinstance(one, models.SumExpression):
        return edge.Expression.Sum([_expression(part) for part in one.sum])
    if isinstance(one, models.MaxExpression):
        return edge.Expression.Max([_expression(part) for part in one.max])
    if isinstance(one, models.SqrtExpression):
        return edge.Expression.Sqrt(_expression(one.sqrt))
    if isinstance(one, models.DivExpression):
        parts = _expression(one.div.left), _expression(one.div.right)
        return edge.Expression.Div(*parts, one.div.by_zero_default)
    assert isinstance(one, float | int)
    return edge.Expression.Constant(float(one))


def _filter(one: models.Filter | None) -> edge.Filter | None:
    if one is None:
        return None
    lists = {
        name: [_condition(part) for part in getattr(one, name) or []] or None
        for name in ("must", "should", "must_not")
    }
    return edge.Filter(**lists)


def _condition(one: Any) -> Any:
    if isinstance(one, models.Filter):
        return _filter(one)
    if isinstance(one, models.HasIdCondition):
        return edge.HasIdCondition(set(one.has_id))
    if isinstance(one, models.IsEmptyCondition):
        return edge.IsEmptyCondition(one.is_empty.key)
    assert isinstance(one, models.FieldCondition)
    if isinstance(one.match, models.MatchAny):
        return edge.FieldCondition(one.key, match=edge.MatchAny(one.match.any))
    if isinstance(one.match, models.MatchValue):
        return edge.FieldCondition(one.key, match=edge.MatchValue(one.match.value))
    bounds = one.range
    return edge.FieldCondition(one.key, range=edge.RangeFloat(gte=bounds.gte, lte=bounds.lte))
