"""All of it in one call: models, a gallery, and what searches it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cir.application.galleries import OnServer, first_gallery, open_for, open_on_server
from cir.application.language_model import build_translator
from cir.application.methods import build_composers
from cir.application.models import build_models
from cir.gallery.searchable import Searchable
from cir.models.model_set import Models
from cir.models.server.address import Asking
from cir.ranking.engines import DEFAULT
from cir.ranking.retriever import Retriever


def build(
    models_name: str = "embedded",
    *,
    llm: str | None = None,
    gallery: str | None = None,
    phi: str | None = None,
    deferred: bool = False,
    device: str | None = None,
    engine: str = DEFAULT,
    on_server: OnServer | None = None,
    asking: Asking | None = None,
    networks: Sequence[Path] = (),
) -> tuple[Models, Retriever]:
    """Models and a retriever over a gallery; `phi`: as of `ingredients`, `deferred`, `device`, `asking`, `networks`: of `Models`, `engine`: by its name.

    `on_server`: where the gallery is, for the engine of those on servers.
    """
    models = build_models(
        models_name, llm=llm, deferred=deferred, phi=phi, device=device, asking=asking, networks=networks
    )
    opened: Searchable
    if on_server is not None and gallery:
        opened = open_on_server(models, gallery, on_server)
    else:
        opened = open_for(models, gallery or first_gallery(models))
    return models, Retriever(
        opened, build_composers(models, phi=phi), build_translator(models), engine=engine
    )
