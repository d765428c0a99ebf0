"""Where the concrete things are joined: models, composers, a gallery, the retriever.

Command line, page and evaluation all build through here, so that they cannot differ.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from PIL import Image

from cir.composers.caption_memory import CaptionMemory
from cir.composers.composer import Composer
from cir.composers.cvsi import PAPER_PRESETS, CvsiSettings
from cir.composers.hycir import hycir
from cir.composers.parameters import Values
from cir.composers.registry import Ingredients, build_methods
from cir.errors import BadQuery, CirError, GalleryError, MissingModel
from cir.gallery.background import Indexer
from cir.gallery.encoding import Encoders
from cir.gallery.gallery import Gallery
from cir.gallery.indexing import index_folder
from cir.gallery.manifest import THUMBNAILS, gallery_folder, list_galleries, read_manifest
from cir.gallery.opening import open_gallery
from cir.gallery.searchable import Searchable
from cir.languages import language_identifier
from cir.models.catalog import SETS, sentence_encoder_folder
from cir.models.deferred import Deferred
from cir.models.downloads import locate
from cir.models.llama import PatientModel
from cir.models.model_set import WITHOUT, Models
from cir.models.own_networks import OwnNetworks
from cir.models.protocols import LanguageModel, SentenceEncoder, Spoter, WordRefiner
from cir.models.server.address import Asking
from cir.places import ASSETS, SAMPLE_GALLERY, SAMPLE_PHOTOGRAPHS, gallery_cache, own_networks_folder
from cir.places import ROOT as ROOT
from cir.prompts import cvsi_added_objects, cvsi_modified_caption, plain_orders
from cir.ranking.engines import DEFAULT
from cir.ranking.retriever import Retriever
from cir.rewording import KnownWords, Rewording
from cir.shelf import Shelf
from cir.syncir.library import TripletLibrary
from cir.syncir.query_text import CaptionSpoter
from cir.text import counted
from cir.translating import Translator
from cir.tuned_weights import tuned_weights
from cir.types import DRAWING, TrainedNetwork, TrainingStep, Triplet
from cir.world.vocabulary import words

if TYPE_CHECKING:
    from cir.gallery.served.gallery import ServedGallery
    from cir.models.photographs.joined import JoinedEncoder
    from cir.ui.triplets.handlers import Trainer

TUNED, FOR_PHOTOGRAPHS = "tuned for these models", "photographs"
PATIENCE_SECONDS = (
    50.0  # for one text of a triplet: below what a search waits for its turn at the language model
)
SERVED_FOLDER = "served"  # in the cache: small pictures of galleries on servers
PHOTOGRAPH_WEIGHTS: Values = {"alpha": 0.4, "beta": 0.6, "gamma": 0.1}  # how they were found: docs/models.md
ABOUT_PHOTOGRAPHS = (  # figures: docs/models.md
    "Of photographs the models of this page know the thousand things of ImageNet, main colours and light. Among 181 that were kept "
    "apart, a caption puts the right one first 49 times of 100, and among the first five 73 times. "
    "They know few words for people, faces or actions, do not count and do not read."
)
LARGER_SET = (
    " A larger set, fetched once, reads them better: python -m cir models pull laptop, then python -m cir index PHOTOS --models laptop, "
    "and python app.py --models laptop."
)


def report_path(out: Path | None) -> Path:
    """Where measured tables are written: the file that was named, or one beside the evaluations."""
    return out if out is not None else gallery_cache() / "evaluations" / "results.md"


def build_models(
    name: str = "embedded",
    *,
    llm: str | None = None,
    clip: Path | None = None,
    deferred: bool = False,
    phi: str | None = None,
    device: str | None = None,
    asking: Asking | None = None,
    networks: Sequence[Path] = (),
) -> Models:
    """A model set; nothing is loaded until it is asked for. `clip`, `deferred`: see `Models`.

    Args:
        name: of the set; or a models folder from elsewhere, then the set in it; or a trained mapping network, its file
            or the folder of its training: then the set that it was trained for, with it.
        llm: see `Models`.
        clip: see `Models`.
        deferred: see `Models`.
        phi: a mapping network of one's own, likewise; a recipe's name is not looked at here.
        device: see `Models`.
        asking: see `Models`.
        networks: see `Models`.

    Raises:
        BadQuery: no such set.
        MissingModel: no such mapping network.
    """
    folder = None
    if is_place(name) and (found := set_in(Path(name).expanduser())):
        folder, name = Path(name).expanduser(), found
    elif is_place(name):
        phi, name = phi if is_place(phi) else name, set_of(name)
    own = Path(phi).expanduser() if phi is not None and is_place(phi) else None
    return Models(
        name,
        llm=llm,
        clip=clip,
        deferred=deferred,
        own_phi=own,
        device=device,
        folder=folder,
        asking=asking,
        networks=networks,
    )


def build_encoders(name: str, *, device: str | None = None, captions: bool = True) -> Encoders:
    """What of a model set takes part in indexing. `name`, `device`: see `build_models`."""
    models = build_models(name, llm=WITHOUT, device=device)
    return Encoders(models.image_encoder, models.text_encoder, models.captioner if captions else None)


def is_place(name: str | None) -> bool:
    """Whether this is a file or a folder rather than the name of a recipe or a set."""
    if not name or name in SETS or any(name in one.mapping for one in SETS.values()):
        return False
    return "/" in name or "\\" in name or "." in name or Path(name).exists()


def set_in(folder: Path) -> str:
    """The first set whose CLIP lies in a models folder, such as one that was fetched on another computer; "" for none."""
    sets = ((name, one.clip.fetched) for name, one in SETS.items() if one.clip.fetched is not None)
    return next((name for name, spec in sets if locate(spec, folder=folder) is not None), "")


def set_of(place: str) -> str:
    """The set that a trained mapping network belongs to.

    Raises:
        MissingModel: there is no network at this place.
        BadQuery: its file does not say for which set it was trained.
    """
    from cir.models.mapping_files import mapping_facts, mapping_file

    found = mapping_facts(mapping_file(place)).get("model_set")
    if not isinstance(found, str):
        raise BadQuery(
            f"{place} does not say for which model set it was trained.",
            f"Name the set, and the network beside it: --models {', '.join(SETS)} --phi {place}",
        )
    return found


def decisive(models: Models, phi: str | None = None) -> dict[str, str]:
    """What CVSI's weights depend on: part -> fingerprint, of the parts that are here; `phi` as of `ingredients`."""
    parts = {
        "clip": models.tower,
        "captioner": models.captioner,
        "language_model": models.language_model,
        "phi": models.phi(None if is_place(phi) else phi),
    }
    return {name: part.fingerprint for name, part in parts.items() if part is not None}


def presets(models: Models, phi: str | None = None) -> dict[str, Values]:
    """Named weights: found on validation queries of the world for these models, the paper's two, and those for photographs."""
    tuned = tuned_weights(models.name, decisive(models, phi))
    own = weights_for_photographs(models)
    return {**({TUNED: tuned} if tuned else {}), **PAPER_PRESETS, **({FOR_PHOTOGRAPHS: own} if own else {})}


def weights_for_photographs(models: Models) -> Values | None:
    """CVSI's weights where the reference was read as a photograph; None for a set that reads all pictures alike."""
    return PHOTOGRAPH_WEIGHTS if models.set.photographs is not None else None


def ingredients(
    models: Models, *, settings: CvsiSettings | None = None, phi: str | None = None
) -> Ingredients:
    """What methods are made of, of these models: `build_methods` makes them, `dataclasses.replace` exchanges a model.

    Args:
        models: one set.
        settings: CVSI's.
        phi: the recipe of CVSI's mapping network, any of the set's; None takes the models' own, or the set's first.
            A file or folder has to be given to `build_models` too.

    Raises:
        BadQuery: the set has no such mapping network.
        MissingModel: it has, but it is not here.
    """
    clip, captioner = models.clip, models.captioner
    if is_place(phi):
        phi = None  # the models' own
    if phi is not None:
        _check_phi(models, phi)
    return Ingredients(
        clip,
        clip,
        clip,
        models.words,
        CaptionMemory(captioner) if captioner is not None else None,
        models.language_model,
        cast(WordRefiner, Deferred({}, lambda: models.refiner)),
        settings or CvsiSettings(),
        next(iter(presets(models, phi).values())),
        weights_for_photographs(models),
        phi,
        models.missing,
        models.fusion,
        models.encoder,
        cast(WordRefiner, Deferred({}, lambda: models.concept_refiner)),
        clip,
        models.patch_words,
        models.towers,
    )


def build_translator(models: Models) -> Translator:
    """What puts edits in other languages into English, and in other words into plainer ones, by the set's language model."""
    return Translator(
        models.language_model, models.missing.get("language model", ""), build_rewording(models)
    )


def build_rewording(models: Models, model: LanguageModel | None = None) -> Rewording | None:
    """What puts edits into words that the set's text tower knows; None where it reads any words, or nobody can.

    `model`: who is asked; the set's language model by default.
    """
    asked = model or models.language_model
    if models.set.reads != "world" or asked is None:
        return None

    clip = models.clip

    def known(text: str) -> float:
        return float(clip.known([text])[0])

    def is_drawing(image: Image.Image) -> bool:
        return models.read_as(clip.encode_images([image])[0]) in ("", DRAWING)

    return Rewording(asked, known, is_drawing, KnownWords(words(), lambda: models.sentence_encoder).nearest)


def _check_phi(models: Models, phi: str) -> None:
    if phi not in models.set.mapping:
        names = ", ".join(models.set.mapping)
        raise BadQuery(
            f"The set {models.name} has no mapping network called {phi!r}.",
            f"Choose one of: {names}. Or give a trained one: its file, or the folder of its training.",
        )
    if models.phi(phi) is None:
        raise MissingModel(models.missing[f"mapping network {phi}"], "Or leave --phi out.")


def open_for(models: Models, gallery: str | None = None) -> Gallery:
    """A gallery by name, by its folder of pictures, or the sample gallery; made by these models.

    Raises:
        GalleryError: it is not there, or other models made it; the remedy is in the message.
    """
    clip = models.clip
    if gallery is None and not _made_by(models, read_manifest(SAMPLE_GALLERY).models.fingerprints):
        raise GalleryError(
            f"The sample gallery was made by other models than those of the set {models.name}.",
            f"Index your own pictures: python -m cir index PHOTOS --models {models.name}. Then name them: --gallery PHOTOS",
        )
    return open_gallery(
        gallery or SAMPLE_GALLERY,
        cache_root=gallery_cache(),
        image_encoder_fingerprint=clip.fingerprint,
        text_encoder_fingerprint=models.captions_fingerprint,
    )


@dataclass(frozen=True, slots=True)
class OnServer:
    """Where a gallery is that is not on this machine.

    Attributes:
        url: of the Qdrant server.
        key_setting: the environment's variable with its key; "" for the usual one.
        thumbnails: a folder or web address with small pictures; "" for those of the gallery of the same name here.
    """

    url: str
    key_setting: str = ""
    thumbnails: str = ""


def open_on_server(models: Models, name: str, place: OnServer) -> ServedGallery:
    """A gallery on a Qdrant server, made by these models.

    Raises:
        GalleryError: it is not there, or not whole, or other models made it; the server does not answer.
    """
    from cir.gallery.served.gallery import open_served
    from cir.gallery.served.server import connect
    from cir.gallery.served.thumbnails import Thumbnails

    cache = gallery_cache()
    small = place.thumbnails or gallery_folder(cache, name) / THUMBNAILS
    return open_served(
        connect(place.url, place.key_setting),
        name,
        Thumbnails(cache / SERVED_FOLDER / name, small),
        image_encoder_fingerprint=models.clip.fingerprint,
        text_encoder_fingerprint=models.captions_fingerprint,
    )


def first_gallery(models: Models) -> str | None:
    """What a page begins with where no gallery is named: None for the sample gallery, or one's own where other models made that.

    The first by name of those that these models made; None as well where there is none.
    """
    if _made_by(models, read_manifest(SAMPLE_GALLERY).models.fingerprints):
        return None
    own = (one for one in list_galleries(gallery_cache()) if not one.problem)
    return next((one.name for one in own if _made_by(models, one.fingerprints)), None)


def prepare_first_gallery(models: Models, *, say: Callable[[str], None]) -> str:
    """See to it that a page of these models has a gallery to begin with: else index a dozen photographs that come along.

    Each model is opened for that, so whoever goes on with the set then knows that it can.

    Returns:
        The gallery's name; "" for the sample gallery.

    Raises:
        CirError: a model is not here, or cannot be opened.
    """
    captioner, network = models.captioner, models.phi()
    if captioner is None or network is None:
        gone = [why for what, why in models.missing.items() if what.startswith(("captioner", "mapping"))]
        raise MissingModel(" ".join(gone))
    if _made_by(models, read_manifest(SAMPLE_GALLERY).models.fingerprints):
        return ""
    if found := first_gallery(models):
        return found
    name = f"Twelve photographs ({models.name})"
    for step in index_folder(
        ASSETS / "check",
        name=name,
        image_encoder=models.clip,
        text_encoder=models.text_encoder,
        captioner=captioner,
        cache_root=gallery_cache(),
    ):
        say(f"{step.stage} of a dozen photographs, {step.done} of {step.total}")
    return name


def _made_by(models: Models, fingerprints: Mapping[str, str]) -> bool:
    return fingerprints.get("image_encoder") == models.clip.fingerprint


def drawn_gallery(models: Models, gallery: Gallery) -> Gallery:
    """A gallery with the features of the set's CLIP alone, which mapping networks are trained for, and none of captions.

    Raises:
        BadQuery: it holds photographs, of which that CLIP knows nothing.
    """
    if models.photographs is None:
        return gallery
    space = cast("JoinedEncoder", models.clip).space
    raw = space.clip_part(np.stack([gallery.raw_features(image_id) for image_id in gallery.image_ids]))
    lengths = np.linalg.norm(raw, axis=1)
    photographs = int((lengths < 1e-3).sum())
    if photographs:
        raise BadQuery(
            f"{gallery.name} holds {counted(photographs, 'photograph')}, and the CLIP of the set {models.name}, which the network "
            "would be for, knows drawings alone.",
            "Take another set: --models base",
        )
    return replace(
        gallery,
        image_features=raw / lengths[:, None],
        caption_features=np.zeros_like(raw),
        captioned=np.zeros(len(raw), dtype=bool),
        norms=lengths,
    )


def build_shelf(models: Models, first: Retriever, *, title: str = "") -> Shelf:
    """All galleries that these models can search: the first one, the sample gallery, and people's own."""
    clip = models.clip
    return Shelf(
        first,
        cache_root=gallery_cache(),
        image_encoder_fingerprint=clip.fingerprint,
        text_encoder_fingerprint=models.captions_fingerprint,
        title=title,
        shipped={"Sample gallery": SAMPLE_GALLERY, "Sample photographs": SAMPLE_PHOTOGRAPHS},
    )


def build_indexer(models: Models, shelf: Shelf) -> Indexer:
    """Makes galleries with these models, in the background; the shelf gets what there is to search."""
    return Indexer(
        image_encoder=models.clip,
        text_encoder=models.text_encoder,
        captioner=lambda: models.captioner,
        cache_root=shelf.cache_root,
        renew=shelf.renew,
    )


def open_triplets(models: Models, titles: Mapping[str, str] | None = None) -> TripletLibrary:
    """The shipped triplets and the visitor's own, with these models to make more; nothing is loaded yet.

    Args:
        models: which make more.
        titles: a gallery's name -> how people call it, where that is another.
    """

    def spoter() -> Spoter:
        assert models.language_model is not None, "whoever asks has asked `cannot_generate` before"
        return CaptionSpoter(PatientModel(models.language_model, PATIENCE_SECONDS))

    def sentence_encoder() -> SentenceEncoder:
        from cir.models.sentence_encoder import load_sentence_encoder  # it brings torch

        # Where the page began without one, it may have been fetched since.
        return models.sentence_encoder or load_sentence_encoder(sentence_encoder_folder())

    def cannot_generate() -> str:
        if models.language_model is None:
            missing = models.missing.get("language model", "There is no language model.")
            return f"New triplets need the language model. {missing}"
        try:
            sentence_encoder_folder()
        except CirError as error:
            return str(error)
        return ""

    return TripletLibrary(
        ASSETS / "triplets",
        gallery_cache() / "triplets",
        spoter=spoter,
        sentence_encoder=sentence_encoder,
        cannot_generate=cannot_generate,
        titles=titles,
    )


def own_networks(models: Models) -> OwnNetworks:
    """HyCIR's networks that a person has trained on triplets, for these models."""
    return OwnNetworks(models, own_networks_folder())


def build_composers(
    models: Models, *, settings: CvsiSettings | None = None, phi: str | None = None
) -> dict[str, Composer]:
    """All methods of these models by name, those that are networks of a person's own last. Arguments and errors as of `ingredients`."""
    shipped = build_methods(ingredients(models, settings=settings, phi=phi))
    return {**shipped, **own_methods(own_networks(models))}


def own_methods(networks: OwnNetworks) -> dict[str, Composer]:
    """A method for each network that a person has trained."""
    clip = networks.models.clip
    return {name: hycir(clip, networks.words(name), clip, name=name) for name in networks.names()}


def build_trainer(models: Models, shelf: Shelf) -> Trainer:
    """What trains another of them, a step at a time (`train_on_triplets`); made, it is a method of every gallery."""
    networks = own_networks(models)

    def train(
        triplets: Sequence[Triplet], gallery: Gallery, title: str
    ) -> Iterator[TrainingStep | TrainedNetwork]:
        from cir.training.own_triplets import train_on_triplets  # it brings torch

        for step in train_on_triplets(networks, triplets, drawn_gallery(models, gallery), title):
            if isinstance(step, TrainedNetwork):
                shelf.offer(step.name, own_methods(networks)[step.name])
            yield step

    return train


def about_photographs(models: Models, *, offered: bool = False) -> str:
    """What is to be known before photographs are indexed with these models; "" when they know photographs well.

    `offered`: whether the page offers a larger set itself.
    """
    if models.set.photographs is None:
        return ""
    return ABOUT_PHOTOGRAPHS + ("" if offered else LARGER_SET)


def warm_up(models: Models) -> None:
    """Load what was put off, also what guesses languages; then start the language model's process and let it read the constant part of every prompt.

    A failure here is not the end: the first query asks again, and says what is wrong.
    """
    language_identifier()
    while not models.ready:
        try:
            models.load_all()
        except CirError as error:
            logging.getLogger(__name__).warning("A model could not be loaded: %s", error)
    if models.language_model is None:
        return
    prompts = [cvsi_modified_caption("", ""), cvsi_added_objects("", "")]
    if build_rewording(models) is not None:
        prompts.append(plain_orders(""))
    try:
        models.language_model.warm_up(prompts)
    except CirError as error:
        logging.getLogger(__name__).warning("The language model could not be warmed up: %s", error)


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
