"""Scenes as JSON and back: how benchmarks and galleries keep them."""

from __future__ import annotations

from typing import Any

from cir.world.scene import ObjectGroup, Scene


def scene_to_record(scene: Scene) -> dict[str, Any]:
    """A scene as JSON-ready values; defaults are left out."""
    groups = []
    for g in scene.groups:
        row: dict[str, Any] = {"noun": g.noun}
        if g.count != 1:
            row["count"] = g.count
        if g.colour:
            row["colour"] = g.colour
        if g.size != "normal":
            row["size"] = g.size
        groups.append(row)
    record: dict[str, Any] = {
        "groups": groups,
        "background": scene.background,
        "layout_seed": scene.layout_seed,
    }
    if scene.time:
        record["time"] = scene.time
    return record


def scene_from_record(record: dict[str, Any]) -> Scene:
    """The scene of a record.

    Raises:
        KeyError, TypeError: not such a record.
    """
    groups = tuple(ObjectGroup(**group) for group in record["groups"])
    return Scene(groups, record["background"], record.get("time", ""), record["layout_seed"])
