"""Methods whose published weights have towers of their own: recipe -> what reads their files.

Each is image encoder of its galleries and network of its queries in one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cir.models.clip4cir_published import PublishedClip4Cir, read_published_clip4cir
from cir.models.covr_published import PublishedCovr, read_published_covr

PublishedTowers = PublishedClip4Cir | PublishedCovr
READERS: Mapping[str, Callable[..., PublishedTowers]] = {
    "clip4cir": read_published_clip4cir,
    "covr": read_published_covr,
}
