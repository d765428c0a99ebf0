"""CVSI's Figure 4 on kept queries: R@1 over the alpha-beta simplex, over gamma, and over the captions of gallery images.

Everything is arithmetic on what was composed once. Source: CVSI, section IV-D and Figure 4.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cir.charts import Cell, heat_map, line_chart
from cir.evaluation.tables import target_ranks
from cir.fusion import Floats
from cir.gallery.gallery import Gallery
from cir.sweep import GAMMAS, rows_for, shares, simplex
from cir.types import CirQuery, ComposedQuery, Weights

POINTS = simplex(0.1)


@dataclass(frozen=True, slots=True)
class Surface:
    """R@1 and R@5 in percent, (G, W), over GAMMAS and POINTS."""

    r1: Floats
    r5: Floats
    queries: int

    @property
    def best(self) -> Weights:
        """The grid's best by R@1 + R@5 / 2."""
        score = self.r1 + 0.5 * self.r5
        g, w = np.unravel_index(int(score.argmax()), score.shape)
        return Weights(*POINTS[w], GAMMAS[g])

    @property
    def settled(self) -> Weights:
        """The middle of the broadest top: the best mean of R@1 + R@5 / 2 over a place and its neighbours.

        On a few hundred queries many places tie, and the best single one is luck.
        """
        score = self.r1 + 0.5 * self.r5
        apart = np.abs(np.array(POINTS)[:, None] - np.array(POINTS)[None]).max(axis=2)
        near = (apart < 0.15).astype(np.float64)  # the steps are 0.1
        around = score @ near / near.sum(axis=1)
        layers = [around[max(0, g - 1) : g + 2].mean(axis=0) for g in range(len(around))]
        g, w = np.unravel_index(int(np.argmax(layers)), score.shape)
        return Weights(*POINTS[w], GAMMAS[g])

    def at(self, weights: Weights) -> tuple[int, int]:
        """The nearest place on the grid."""
        near = np.abs(np.array(POINTS) - (weights.alpha, weights.beta)).sum(axis=1)
        return int(np.abs(np.array(GAMMAS) - weights.gamma).argmin()), int(near.argmin())


def surface(gallery: Gallery, queries: Sequence[CirQuery], composed: Mapping[str, ComposedQuery]) -> Surface:
    """Recalls over the whole grid, 66 places times 11 values of gamma."""
    weights = shares(POINTS)

    def rows(query: ComposedQuery) -> tuple[Floats, Sequence[float]]:
        return rows_for(query, weights), GAMMAS

    grids = list(target_ranks(gallery, queries, composed, rows).values())
    first = 100.0 * np.mean([grid == 1 for grid in grids], axis=0)
    five = 100.0 * np.mean([grid <= 5 for grid in grids], axis=0)
    return Surface(first, five, len(grids))


def simplex_figure(found: Surface, weights: Weights) -> str:
    """R@1 over alpha and beta at the gamma of `weights`; a ring around the best, a dashed one around `weights`."""
    g, here = found.at(weights)
    values = found.r1[g]
    low, high = float(values.min()), float(values.max())
    best = int(values.argmax())
    cells = {}
    for w, (alpha, beta) in enumerate(POINTS):
        mark = "best" if w == best else "now" if w == here else ""
        title = f"α {alpha:g}, β {beta:g}, reference look {1 - alpha - beta:.1f}: R@1 {values[w]:.1f}"
        goodness = (float(values[w]) - low) / max(high - low, 1e-9)
        cells[(alpha, beta)] = Cell(f"{values[w]:.0f}", goodness**2, title, mark)
    alpha, beta = POINTS[best]
    spoken = (
        f"R@1 over alpha and beta at gamma {GAMMAS[g]:g}, from {low:.1f} to {high:.1f}; "
        f"best at alpha {alpha:g}, beta {beta:g}."
    )
    return heat_map(cells, spoken=spoken, alone=True)


def gamma_figure(found: Surface, weights: Weights) -> str:
    """R@1 and R@5 over gamma at the alpha and beta of `weights`."""
    _, here = found.at(weights)
    series = {
        "R@5": [(g, float(v)) for g, v in zip(GAMMAS, found.r5[:, here], strict=True)],
        "R@1": [(g, float(v)) for g, v in zip(GAMMAS, found.r1[:, here], strict=True)],
    }
    spoken = f"R@1 and R@5 over gamma; R@1 is best at gamma {GAMMAS[int(found.r1[:, here].argmax())]:g}."
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
    means = np.zeros_like(gallery.image_features)
    for i, rows in enumerate(features):
        if count and len(rows):
            means[i] = rows[:count].mean(axis=0)
    return Gallery.from_features(
        gallery.name, gallery.image_ids, np.array(gallery.image_features), caption_features=means
    )


def captions_figure(rows: Mapping[int, tuple[float, float]]) -> str:
    """Number of captions of each gallery image -> (R@1, R@5), as lines."""
    series = {
        "R@5": [(float(n), r5) for n, (_, r5) in rows.items()],
        "R@1": [(float(n), r1) for n, (r1, _) in rows.items()],
    }
    spoken = "R@1 and R@5 over the number of captions of each gallery image: " + ", ".join(
        f"{n}: {r1:.1f}" for n, (r1, _) in rows.items()
    )
    return line_chart(
        series, x_label="captions of each gallery image", y_label="percent", spoken=spoken, alone=True
    )
