"""Methods whose published weights have towers of their own: recipe -> what reads their files.

Each is image encoder of its galleries and network of its queries in one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cir.models.blip4cir_published import PublishedBlip4Cir, read_published_blip4cir
from cir.models.clip4cir_published import PublishedClip4Cir, read_published_clip4cir
from cir.models.covr_published import PublishedCovr, read_published_covr

PublishedTowers = PublishedBlip4Cir | PublishedClip4Cir | PublishedCovr
READERS: Mapping[str, Callable[..., PublishedTowers]] = {
    "blip4cir-bi": read_published_blip4cir,
    "clip4cir": read_published_clip4cir,
    "covr": read_published_covr,
}
