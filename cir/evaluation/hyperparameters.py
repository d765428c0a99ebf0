"""CVSI's Figure 4 on kept queries: recall (on CIRCO mAP) over the alpha-beta simplex, over gamma, and over the captions of gallery images.

Everything is arithmetic on what was composed once. Source: CVSI, section IV-D and Figure 4.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cir.charts import Cell, heat_map, line_chart
from cir.composers.cvsi import PARAMETERS
from cir.composers.parameters import Values
from cir.evaluation.rank_measures import RECALLS, Measure, share
from cir.evaluation.tables import target_ranks
from cir.gallery.gallery import Gallery
from cir.ranking.retriever import scoring_of
from cir.ranking.scoring import Floats, Scoring
from cir.ranking.sweep import grid
from cir.types import CirQuery, ComposedQuery

GRID = grid(PARAMETERS)
GAMMAS = tuple(sorted({values["gamma"] for values in GRID}))
POINTS = [(values["alpha"], values["beta"]) for values in GRID[:: len(GAMMAS)]]


@dataclass(frozen=True, slots=True)
class Surface:
    """A measure's first two columns in percent, (G, W), over GAMMAS and POINTS.

    Attributes:
        first, second: the values, such as R@1 and R@5.
        queries: how many they are means of.
        columns: what they are called.
    """

    first: Floats
    second: Floats
    queries: int
    columns: tuple[str, str] = (RECALLS.first, RECALLS.second)

    @property
    def _score(self) -> Floats:
        return self.first + 0.5 * self.second

    @property
    def best(self) -> Values:
        """The grid's best by the first column + half of the second: R@1 + R@5 / 2."""
        g, w = np.unravel_index(int(self._score.argmax()), self._score.shape)
        return GRID[w * len(GAMMAS) + g]

    @property
    def settled(self) -> Values:
        """The middle of the broadest top: the best mean of R@1 + R@5 / 2 over a place and its neighbours.

        On a few hundred queries many places tie, and the best single one is luck.
        """
        score = self._score
        apart = np.abs(np.array(POINTS)[:, None] - np.array(POINTS)[None]).max(axis=2)
        near = (apart < 0.15).astype(np.float64)  # the steps are 0.1
        around = score @ near / near.sum(axis=1)
        layers = [around[max(0, g - 1) : g + 2].mean(axis=0) for g in range(len(around))]
        g, w = np.unravel_index(int(np.argmax(layers)), score.shape)
        return GRID[w * len(GAMMAS) + g]

    def at(self, values: Values) -> tuple[int, int]:
        """The nearest place on the grid."""
        near = np.abs(np.array(POINTS) - (values["alpha"], values["beta"])).sum(axis=1)
        return int(np.abs(np.array(GAMMAS) - values["gamma"]).argmin()), int(near.argmin())


def surface(
    gallery: Gallery,
    queries: Sequence[CirQuery],
    composed: Mapping[str, ComposedQuery],
    measure: Measure = RECALLS,
) -> Surface:
    """A measure over the whole grid, 66 places times 11 values of gamma."""

    def scorings(query: ComposedQuery) -> Sequence[Scoring]:
        return [scoring_of(query, values) for values in GRID]

    columns = measure.first, measure.second
    found = list(target_ranks(gallery, queries, composed, scorings, measure).values())
    means = (100.0 * np.mean([share(ranks, c) for ranks in found], axis=0) for c in columns)
    first, second = (mean.reshape(len(POINTS), len(GAMMAS)).T for mean in means)
    return Surface(first, second, len(found), columns)


def simplex_figure(found: Surface, weights: Values) -> str:
    """The first column over alpha and beta at the gamma of `weights`; a ring around the best, a dashed one around `weights`."""
    g, here = found.at(weights)
    values = found.first[g]
    low, high = float(values.min()), float(values.max())
    best = int(values.argmax())
    cells = {}
    for w, (alpha, beta) in enumerate(POINTS):
        mark = "best" if w == best else "now" if w == here else ""
        title = f"α {alpha:g}, β {beta:g}, reference look {1 - alpha - beta:.1f}: {found.columns[0]} {values[w]:.1f}"
        goodness = (float(values[w]) - low) / max(high - low, 1e-9)
        cells[(alpha, beta)] = Cell(f"{values[w]:.0f}", goodness**2, title, mark)
    alpha, beta = POINTS[best]
    spoken = (
        f"{found.columns[0]} over alpha and beta at gamma {GAMMAS[g]:g}, from {low:.1f} to {high:.1f}; "
        f"best at alpha {alpha:g}, beta {beta:g}."
    )
    return heat_map(cells, spoken=spoken, alone=True)


def gamma_figure(found: Surface, weights: Values) -> str:
    """Both columns over gamma at the alpha and beta of `weights`."""
    _, here = found.at(weights)
    first, second = found.columns
    series = {
        second: [(g, float(v)) for g, v in zip(GAMMAS, found.second[:, here], strict=True)],
        first: [(g, float(v)) for g, v in zip(GAMMAS, found.first[:, here], strict=True)],
    }
    top = GAMMAS[int(found.first[:, here].argmax())]
    spoken = f"{first} and {second} over gamma; {first} is best at gamma {top:g}."
    return line_chart(
        series, x_label="γ  captions of gallery images", y_label="percent", spoken=spoken, alone=True
    )


def with_captions(gallery: Gallery, features: Sequence[NDArray[np.float32]], count: int) -> Gallery:
    """The same gallery, each image with its first `count` captions only.

    Args:
        gallery: what is searched.
        features: for each image (n, D) unit features of its captions.
        count: of captions; 0 for none.
    """
    return gallery.with_captions(
        [rows[:count].mean(axis=0) if count and len(rows) else None for rows in features]
    )


def captions_figure(
    rows: Mapping[int, tuple[float, float]], columns: tuple[str, str] = (RECALLS.first, RECALLS.second)
) -> str:
    """Number of captions of each gallery image -> the two columns, as lines."""
    first, second = columns
    series = {
        second: [(float(n), value) for n, (_, value) in rows.items()],
        first: [(float(n), value) for n, (value, _) in rows.items()],
    }
    spoken = f"{first} and {second} over the number of captions of each gallery image: " + ", ".join(
        f"{n}: {value:.1f}" for n, (value, _) in rows.items()
    )
    return line_chart(
        series, x_label="captions of each gallery image", y_label="percent", spoken=spoken, alone=True
    )
