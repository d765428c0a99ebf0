"""One space for drawings and photographs: the world's CLIP beside what classes, colours and light tell of photographs.

A row is [CLIP's features | concepts | attributes | drawn]. A drawing has only the first and the last; a photograph has
only the second and third. A text has the first three, and the first counts the less, the more of its words CLIP has
never been taught: otherwise every drawing would outrank every photograph. `drawn` gives drawings the same length as a
text's half, so that among drawings everything that adds and compares features does what it did before.

A pseudo-word is CLIP's, followed by what the photograph shows. Does not know how pictures or texts are read.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cir.models.photographs.lexicon import ATTRIBUTES
from cir.types import Features

ATTRIBUTE_WEIGHT = 0.1  # of the attributes' product beside the concepts' cosine
HALF = float(np.sqrt(0.5))
EDIT = 1.0  # how much an edit counts beside what the photograph shows
SURE = 2.0  # logits: beyond it a picture is wholly of one world


@dataclass(frozen=True, slots=True)
class Space:
    """Where the parts of a row are.

    Attributes:
        clip: width of CLIP's features.
        concepts: width of the concepts of photographs.
    """

    clip: int
    concepts: int

    @property
    def dim(self) -> int:
        """Width of a row."""
        return self.clip + self.shown + 1

    @property
    def shown(self) -> int:
        """Width of what a photograph shows: concepts and attributes."""
        return self.concepts + len(ATTRIBUTES)

    def pictures(self, raw: Features, lengths: Features, shown: Features, shares: Features) -> Features:
        """(N, dim) rows.

        Args:
            raw: (N, clip) CLIP's features, not normalised; of a photograph they do not count.
            lengths: (N,) of each row.
            shown: (N, shown) unit rows; of a drawing they do not count.
            shares: (N,) how far each is a photograph, between 0 and 1.
        """
        drawn, taken = HALF * (1 - shares[:, None]), shares[:, None] * lengths[:, None]
        return np.concatenate([drawn * raw, taken * shown, drawn * lengths[:, None]], axis=1)

    def texts(self, features: Features, shown: Features, known: Features) -> Features:
        """(N, dim) unit rows.

        Args:
            features: (N, clip) CLIP's unit rows.
            shown: (N, shown) unit rows.
            known: (N,) share of each text's words that CLIP was taught.
        """
        rows = np.concatenate(
            [HALF * known[:, None] ** 2 * features, HALF * shown, np.zeros((len(shown), 1))], axis=1
        ).astype(np.float32)
        return unit(rows)

    def sentences(self, features: Features, shown: Features, edit: Features) -> Features:
        """(N, dim) unit rows of sentences that hold an image as a word.

        Args:
            features: (N, clip) CLIP's unit rows of the sentences.
            shown: (N, shown) what the image shows as a photograph; as long as it is one.
            edit: (1, shown) the unit row of the rest of the sentence; zeros for none.
        """
        shares = np.linalg.norm(shown, axis=1, keepdims=True)
        drawn = HALF * (1 - shares)
        edited = shares * unit(shown + EDIT * shares * edit)
        return unit(np.concatenate([drawn * features, edited, drawn], axis=1))

    def clip_part(self, rows: Features) -> Features:
        """(N, clip) CLIP's raw features of rows of pictures; nearly nothing of a photograph's."""
        return rows[:, : self.clip] / HALF

    def shown_part(self, rows: Features) -> Features:
        """(N, shown) what pictures show as photographs; each row as long as the picture is one, at most 1."""
        shown = rows[:, self.clip : self.clip + self.shown]
        lengths = np.linalg.norm(shown, axis=1, keepdims=True)
        drawn = rows[:, -1:] / HALF
        return shown / np.maximum(lengths + drawn, 1e-12)


def join_shown(concepts: Features, attributes: Features) -> Features:
    """(N, C) unit rows and (N, A) strengths -> (N, C + A) unit rows."""
    return unit(np.concatenate([concepts, np.sqrt(ATTRIBUTE_WEIGHT) * attributes], axis=1))


def unit(rows: Features) -> Features:
    """Rows of length 1; rows of zeros stay."""
    return (rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)).astype(np.float32)


def share_of(logits: Features) -> Features:
    """Logits of being a photograph -> shares: 0 or 1 where it is sure."""
    return np.clip(0.5 + logits / (2 * SURE), 0.0, 1.0).astype(np.float32)
