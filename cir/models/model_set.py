"""The models of one set, each built once, when it is asked for.

What is missing, or cannot be opened, is not an error here: `Models.missing` says it in a sentence, with the
command that helps. Nothing is downloaded (`cir.models.catalog` does, when a person asks for it).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from cir.environment import setting
from cir.errors import BadQuery, LanguageModelFailed, MissingModel
from cir.models.catalog import SHIPPED, model_set, parts_of, source_of
from cir.models.downloads import ModelFile, models_folder
from cir.models.fusion.facts import recipe_in
from cir.models.part_loader import PartLoader
from cir.models.published import LANGUAGE_MODELS, MADE, SENTENCE_ENCODER, Part
from cir.models.server.address import Asking, is_server, read_address
from cir.picture_memory import ReferenceEncoder
from cir.types import ModelFact

if TYPE_CHECKING:
    from cir.models.clip import ClipModel
    from cir.models.compodiff_published import PublishedCompoDiff
    from cir.models.fusion.files import FusionModel
    from cir.models.llama import LlamaWorker
    from cir.models.mapping import MappingModel
    from cir.models.patch_networks import PatchWords
    from cir.models.photographs.joined import JoinedEncoder
    from cir.models.photographs.reading import PhotographReader
    from cir.models.photographs.sentences import PhotographTexts
    from cir.models.protocols import (
        Captioner,
        ImageToWords,
        PatchesToWords,
        QueryFusion,
        SentenceEncoder,
        TextEncoder,
        WordRefiner,
    )
    from cir.models.published_towers import PublishedTowers
    from cir.models.server.model import ServerModel

WITHOUT = "none"  # as the name of a language model: do without one
_WITHOUT_LLM = "edited descriptions and added objects are left out"


class Models:
    """The models of one set, each built once, when it is first asked for. A GPU is used where torch sees one.

    Args:
        name: of the set.
        own_phi: a mapping network of one's own, its file or the folder of its training: CVSI's, and that of the
            method whose recipe it was trained by.
        llm: another language model: a name from `LANGUAGE_MODELS`, a path to a GGUF file, or the URL#MODEL of a server;
            CIR_LLM by default.
        networks: files of supervised methods' networks, each in the place of the set's for its method.
        asking: how a server is asked.
        clip: the folder of another CLIP than the set's; mapping networks that were not trained for it do not fit it.
        device: None takes a GPU where there is one.
        shipped: where the embedded models lie.
        folder: the models folder; `models_folder()` by default.
        deferred: what was loaded before, and has not changed, is loaded only when it is used or by `load_all`.

    Attributes:
        missing: part -> why it is not here, and what to do. Filled as parts are asked for.

    Raises:
        BadQuery: no such set.
    """

    def __init__(
        self,
        name: str = "embedded",
        *,
        llm: str | None = None,
        clip: Path | None = None,
        device: str | None = None,
        shipped: Path | None = None,
        folder: Path | None = None,
        deferred: bool = False,
        own_phi: Path | None = None,
        networks: Sequence[Path] = (),
        asking: Asking | None = None,
    ) -> None:
        self.name, self.device, self._clip_folder = name, device, clip
        self.set = model_set(name)
        self.llm = llm or setting("CIR_LLM") or self.set.language_model
        self.own_phi, self._asking = own_phi, asking
        self._parts = PartLoader(
            name, shipped=shipped or SHIPPED, folder=folder or models_folder(), deferred=deferred
        )
        self.missing = self._parts.missing
        self._mapping: dict[str, MappingModel | None] = {}
        self._fusion: dict[str, FusionModel | None] = {}
        self._patch_words: dict[str, PatchWords | None] = {}
        self._networks = {recipe_in(path): path.expanduser() for path in networks}
        self._encoders: dict[str, ClipModel | JoinedEncoder | None] = {}
        self._towers: dict[str, PublishedTowers | None] = {}
        self._published: dict[str, PublishedCompoDiff | None] = {}

    @cached_property
    def clip(self) -> ClipModel | JoinedEncoder:
        """Image encoder, text encoder and pseudo-word encoder in one: the set's CLIP, joined with what reads photographs.

        Raises:
            MissingModel: it is not here; nothing can be searched without it.
            UnsafeFile: it is not what it should be.
        """
        if self.photographs is None:
            return self.tower
        from cir.models.photographs.joined import JoinedEncoder

        return JoinedEncoder(self.tower, self.photographs, self.photograph_texts)

    @cached_property
    def photographs(self) -> PhotographReader | None:
        """What reads photographs, of a set that has it and with the set's own CLIP; else None, or why in `missing`."""
        part = self.set.photographs
        if part is None or self._clip_folder is not None:
            return None

        def load(path: Path) -> PhotographReader:
            from cir.models.photographs.reading import load_reader

            return load_reader(path, self.device)

        return self._parts.load("reader of photographs", part, load, "photographs are read as drawings")

    @cached_property
    def sentence_encoder(self) -> SentenceEncoder | None:
        """What compares texts, or None with a sentence in `missing`."""

        def load(path: Path) -> SentenceEncoder:
            from cir.models.sentence_encoder import load_sentence_encoder

            return load_sentence_encoder(path, device=self.device)

        lost = "photographs are not found by texts, and no triplets are made"
        return self._parts.load("sentence encoder", SENTENCE_ENCODER, load, lost)

    @cached_property
    def photograph_texts(self) -> PhotographTexts | None:
        """What reads texts about photographs, or None: then `missing` says what of it is not here."""
        reader, encoder = self.photographs, self.sentence_encoder
        if reader is None or encoder is None:
            return None

        def load() -> PhotographTexts:
            from cir.models.photographs.meanings import read_meanings
            from cir.models.photographs.sentences import PhotographTexts

            read_meanings()  # now: it imports a library that the other models bring as well
            return PhotographTexts(encoder, reader.knowledge.centre, reader.knowledge.basis)

        return self._parts.made_of_others(load)

    @cached_property
    def tower(self) -> ClipModel:
        """The set's CLIP alone: what mapping networks are trained for.

        Raises:
            MissingModel: it is not here; nothing can be searched without it.
            UnsafeFile: it is not what it should be.
        """
        part = self.set.clip
        path = self._clip_folder or self._parts.place_of(part)
        if path is None:
            raise MissingModel(f"The CLIP model {part.name} is not here.", self._parts.remedy(part))

        def load(path: Path) -> ClipModel:
            from cir.models.clip import load_clip

            if part.architecture and self._clip_folder is None:
                return load_clip(part.architecture, str(path), self.device, name=part.name)
            return load_clip(path, device=self.device)

        return self._parts.open(path, load)

    @cached_property
    def references(self) -> ReferenceEncoder:
        """`clip` as the encoder of references, for all methods: it remembers those that it saw last."""
        return ReferenceEncoder(self.clip)

    @property
    def image_encoder(self) -> ClipModel | JoinedEncoder:
        """See `clip`."""
        return self.clip

    @cached_property
    def text_encoder(self) -> TextEncoder:
        """See `clip`; under another fingerprint while texts about photographs cannot be read."""
        if self.photographs is None or self.photograph_texts is not None:
            return self.clip
        from cir.models.photographs.joined import TextsOfDrawings

        return TextsOfDrawings(cast("JoinedEncoder", self.clip))

    @property
    def captions_fingerprint(self) -> str | None:
        """What has to have encoded the captions of a gallery; None: anything, as only drawings are found by texts."""
        return self.clip.fingerprint if self.text_encoder is self.clip else None

    def read_as(self, row: NDArray[np.float32]) -> str:
        """As what `clip` read the picture of a (D,) row, such as "a photograph"; "" where it reads all alike."""
        return "" if self.photographs is None else cast("JoinedEncoder", self.clip).row_read_as(row)

    @property
    def pseudo_word_encoder(self) -> ClipModel | JoinedEncoder:
        """See `clip`."""
        return self.clip

    @cached_property
    def own(self) -> MappingModel | None:
        """The mapping network of one's own, checked to fit this CLIP; None where none was given.

        Raises:
            MissingModel: it is not there.
            UnsafeFile: the file is no mapping network.
            BadQuery: it belongs to another CLIP.
        """
        if self.own_phi is None:
            return None
        from cir.models.mapping import load_mapping
        from cir.models.mapping_files import mapping_file

        path = mapping_file(self.own_phi)
        network = load_mapping(path, name="own")
        wanted, found = (self.tower.dim, self.tower.word_width), (network.input_dim, network.word_width)
        trained_for = network.metadata.get("trained_for", self.tower.fingerprint)
        if wanted != found or trained_for != self.tower.fingerprint:
            why = (
                f"it takes {found[0]} numbers of a picture and says words of {found[1]}, this one has {wanted[0]} and {wanted[1]}"
                if wanted != found
                else f"it was trained for {trained_for}, this one is {self.tower.fingerprint}"
            )
            made_for = network.metadata.get("model_set")
            raise BadQuery(
                f"The mapping network {path} does not fit the CLIP of the set {self.name}: {why}.",
                f"Take the set that it was trained for: --models {made_for or 'NAME'}. Or train one for this set: "
                "python -m cir train mapping --gallery NAME",
            )
        return network

    def phi(self, recipe: str | None = None) -> MappingModel | None:
        """The mapping network of a recipe; None takes one's own, or the set's first that is here, which is CVSI's."""
        if self.own is not None and recipe in (None, self.own.metadata.get("recipe")):
            return self.own
        if recipe is None:
            alone = (
                recipe for recipe in self.set.mapping if recipe != "keds"
            )  # its words belong into two sentences
            return next((found for one in alone if (found := self.phi(one)) is not None), None)
        if recipe not in self._mapping:
            part = self.set.mapping.get(recipe)
            self._mapping[recipe] = self._load_mapping(recipe, part) if part else None
        return self._mapping[recipe]

    def words(self, recipe: str | None = None) -> ImageToWords | None:
        """What makes pseudo-words of the features that `clip` gives, with the mapping network of a recipe; as `phi`."""
        network = self.phi(recipe)
        return None if network is None else self.with_network(network)

    def with_network(self, network: MappingModel) -> ImageToWords:
        """What makes pseudo-words of the features that `clip` gives, with a mapping network of its own."""
        if self.photographs is None:
            return network
        from cir.models.photographs.words import JoinedWords

        return JoinedWords(network, cast("JoinedEncoder", self.clip).space)

    @cached_property
    def refiner(self) -> WordRefiner:
        """What refines pseudo-words of `words`."""
        from cir.models.oti import ImageWordRefiner  # it brings torch

        return self._for_both(ImageWordRefiner(self.tower))

    @cached_property
    def concept_refiner(self) -> WordRefiner | None:
        """What makes a word of `words("palavra")` fit its picture; None without that network."""
        from cir.models.palavra import ConceptRefiner, SetEncoder  # it brings torch

        found = self.phi("palavra")
        if found is None:
            return None
        network = cast(SetEncoder, found.network)
        return self._for_both(ConceptRefiner(self.tower, network, found.fingerprint))

    def _for_both(self, refiner: WordRefiner) -> WordRefiner:
        """A refiner for CLIP's words, for those of `words`."""
        from cir.models.photographs.words import JoinedRefiner

        if self.photographs is None:
            return refiner
        return JoinedRefiner(refiner, cast("JoinedEncoder", self.clip).space)

    def _load_mapping(self, recipe: str, part: Part) -> MappingModel | None:
        def load(path: Path) -> MappingModel:
            from cir.models.mapping import load_mapping

            network = load_mapping(path, name=recipe)
            # Of the same width, it would be taken for one that fits, and every pseudo-word would be noise.
            trained_for = network.metadata.get("trained_for")
            if self._clip_folder is not None and trained_for != self.tower.fingerprint:
                self._refuse_another_clip()
            if trained_for is not None and trained_for != self.tower.fingerprint:
                raise MissingModel(
                    f"{path} was made for another CLIP, {trained_for}.",
                    f"Remove it, then: {self._parts.pull}" if part.made else self._parts.remedy(part),
                )
            return network

        return self._parts.load(f"mapping network {recipe}", part, load, f"{recipe} is left out")

    def _refuse_another_clip(self) -> None:
        """What is published for the CLIP of the set is not taken for another.

        Raises:
            MissingModel: another was given.
        """
        if self._clip_folder is not None:
            raise MissingModel(
                f"It was not trained for the CLIP in {self._clip_folder}.",
                "Take a method that needs none, such as CIReVL, or the set's own CLIP.",
            )

    def patch_words(self, recipe: str) -> PatchesToWords | None:
        """What makes pseudo-words of an image's patches by a method; None where the set has none, or why in `missing`."""
        part = self.set.patch_words.get(recipe)
        if part is None:
            return None
        if recipe not in self._patch_words:
            self._patch_words[recipe] = self._load_patch_words(recipe, part)
        network = self._patch_words[recipe]
        if network is None or self.photographs is None:
            return network
        from cir.models.photographs.words import JoinedPatchWords

        return JoinedPatchWords(network, cast("JoinedEncoder", self.clip).space)

    def _load_patch_words(self, recipe: str, part: Part) -> PatchWords | None:
        def load(path: Path) -> PatchWords:
            from cir.models.patch_networks import load_patch_words

            network = load_patch_words(path, name=recipe)
            trained_for = network.metadata.get("trained_for")
            if trained_for is None and not part.shipped:
                self._refuse_another_clip()
            elif trained_for != self.tower.fingerprint:
                raise MissingModel(
                    f"It was trained for another CLIP, {trained_for}.",
                    self._parts.remedy(part),
                )
            return network

        return self._parts.load(f"network {recipe}", part, load, f"{recipe} is left out")

    def fusion(self, recipe: str) -> QueryFusion | None:
        """The network of a supervised method, for queries of `clip`; None where the set has none, or why in `missing`."""
        network = self.trained(recipe)
        if network is None or self.photographs is None:
            return network
        from cir.models.photographs.fusing import JoinedFusion

        return JoinedFusion(network, cast("JoinedEncoder", self.clip), self.references)

    def forget_references(self) -> None:
        """Read pictures of queries anew, by all methods: for those who measure what it costs."""
        self.references.forget()
        networks = (*self._fusion.values(), *self._published.values(), *self._towers.values())
        for network in filter(None, networks):
            network.references.forget()

    def trained(self, recipe: str) -> FusionModel | None:
        """The same, for queries of `tower`.

        Raises:
            BadQuery: a network that was given belongs to another CLIP.
            UnsafeFile: its file is damaged.
        """
        if recipe not in self._fusion:
            self._fusion[recipe] = self._load_fusion(recipe)
        return self._fusion[recipe]

    def _load_fusion(self, recipe: str) -> FusionModel | None:
        part = self.set.fusion.get(recipe)

        def load(path: Path) -> FusionModel:
            from cir.models.fusion.files import load_fusion

            return load_fusion(path, self.tower)

        if recipe in self._networks:
            return load(self._networks[recipe])
        if part is None:
            return None
        return self._parts.load(f"network {recipe}", part, load, f"{recipe} is left out")

    def towers(self, recipe: str) -> PublishedTowers | None:
        """A supervised method with published towers of its own; None where the set has none, or why in `missing`.

        None as well where a network of one's own was given for the method: that one stands on the set's CLIP.
        """
        part = self.set.towers.get(recipe)
        if part is None or recipe in self._networks:
            return None
        if recipe not in self._towers:

            def load(path: Path) -> PublishedTowers:
                from cir.models.published_towers import READERS

                return READERS[recipe](path, self.device)

            self._towers[recipe] = self._parts.load(
                f"towers {recipe}", part, load, f"{recipe} with its published weights is left out"
            )
        return self._towers[recipe]

    def published(self, recipe: str) -> PublishedCompoDiff | None:
        """A supervised method as its authors have published it, for queries of `tower`; None where the set has none, or why in `missing`.

        None as well where a network of one's own was given for the method.
        """
        part = self.set.published.get(recipe)
        if part is None or recipe in self._networks:
            return None
        if recipe not in self._published:

            def load(path: Path) -> PublishedCompoDiff:
                from cir.models.compodiff_published import read_published_compodiff

                self._refuse_another_clip()
                return read_published_compodiff(path, self.tower)

            self._published[recipe] = self._parts.load(
                f"network {recipe}", part, load, f"{recipe} with its published weights is left out"
            )
        return self._published[recipe]

    def encoder(self, recipe: str) -> ClipModel | JoinedEncoder | None:
        """The image encoder of a method that has its own; None where the set has none, or with a sentence in `missing`."""
        if recipe not in self._encoders:
            tuned = self._load_tuned(recipe)
            if tuned is not None and self.photographs is not None:
                from cir.models.photographs.joined import JoinedEncoder

                self._encoders[recipe] = JoinedEncoder(tuned, self.photographs, self.photograph_texts)
            else:
                self._encoders[recipe] = tuned
        return self._encoders[recipe]

    def _load_tuned(self, recipe: str) -> ClipModel | None:
        part, path = self.set.encoders.get(recipe), self.tuned_file(recipe)
        if part is None and not path.is_file():
            return None
        again = f"Train it: python -m cir train {recipe}"
        if part is None:
            again += f" --models {self.name} --gallery NAME"

        def load(path: Path) -> ClipModel:
            from cir.models.tuned import load_tuned

            return load_tuned(path, self.tower, again=again)

        lost, place = f"{recipe} is left out", path if part is None else None
        return self._parts.load(f"image tower {recipe}", part, load, lost, place)

    def tuned_file(self, recipe: str) -> Path:
        """Where the image tower of a method is put that a person trains for a set that comes without."""
        return self._parts.folder / MADE / f"{self.name}-{recipe}.safetensors"

    @cached_property
    def captioner(self) -> Captioner | None:
        """The captioner, or None with a sentence in `missing`."""
        part = self.set.captioner

        def load(path: Path) -> Captioner:
            return import_module(f"cir.models.{part.module}").load_captioner(path, self.device)

        lost = "captions, edited descriptions and added objects are left out"
        found = self._parts.load("captioner", part, load, lost)
        if found is None or self.photographs is None:
            return found
        from cir.models.photographs.captions import JoinedCaptioner, PhotographCaptioner

        return JoinedCaptioner(found, PhotographCaptioner(self.photographs))

    @cached_property
    def language_model(self) -> LlamaWorker | ServerModel | None:
        """The language model, or None with a sentence in `missing`. Its process starts, its server is asked, at its first use.

        Raises:
            BadQuery: there is no language model of the name that was asked for, or a server cannot be asked like that.
        """
        from cir.models.llama import LlamaWorker

        if self.llm == WITHOUT:
            self.missing["language model"] = (
                f"The language model is switched off, so {_WITHOUT_LLM}. Choose one with --llm."
            )
            return None
        if is_server(self.llm):
            return self._model_of_server()
        own = self.llm.lower().endswith(".gguf")
        if not own and self.llm not in LANGUAGE_MODELS:
            raise BadQuery(
                f"There is no language model called {self.llm!r}.",
                f"Choose one of {', '.join(LANGUAGE_MODELS)}, give a path to a .gguf file or the URL#MODEL of a server, or say {WITHOUT}.",
            )
        part = None if own else LANGUAGE_MODELS[self.llm]
        known = part.fetched.sha256 if part and isinstance(part.fetched, ModelFile) else None

        def load(path: Path) -> LlamaWorker:
            if find_spec("llama_cpp") is None:
                raise MissingModel(
                    "Its package, llama-cpp-python, is not installed.",
                    "Install a C++ compiler, then: make llm (or: pip install -r requirements-llm.txt)",
                )
            return LlamaWorker(
                path,
                name=None if own else self.llm,
                fingerprint=known[:12] if known else None,
                cache_folder=self._parts.folder / "prefixes",
            )

        path = Path(self.llm).expanduser() if own else None
        return self._parts.load("language model", part, load, _WITHOUT_LLM, path, at_once=True)

    @property
    def why_no_language_model(self) -> str:
        """Why there is no language model and what to do, without what CVSI loses by it; "" where there is one."""
        if self.language_model is not None:
            return ""
        return self.missing["language model"].replace(f", so {_WITHOUT_LLM}", "")

    def _model_of_server(self) -> ServerModel | None:
        from cir.models.server.model import connect

        try:
            return connect(self.llm, self._asking)
        except LanguageModelFailed as error:
            self.missing["language model"] = f"There is no language model, so {_WITHOUT_LLM}. {error}"
            return None

    @property
    def fingerprints(self) -> dict[str, str]:
        """What every model is, exactly: part -> fingerprint, of those that are here. Builds them."""
        _ = self.clip, self.captioner, self.language_model, self.own
        for recipes, opens in (
            (self.set.mapping, self.phi),
            (self.set.fusion, self.fusion),
            (self.set.patch_words, self.patch_words),
            (self.set.encoders, self.encoder),
            (self.set.towers, self.towers),
            (self.set.published, self.published),
        ):
            for recipe in recipes:
                opens(recipe)
        return self.opened

    @property
    def opened(self) -> dict[str, str]:
        """The same, of those that were asked for until now."""
        there = self.__dict__
        found = {name: there.get(name) for name in ("clip", "captioner", "language_model")}
        found |= {f"mapping_{recipe}": model for recipe, model in self._mapping.items()}
        found |= {"mapping_own": there.get("own")}
        found |= {f"fusion_{recipe}": model for recipe, model in self._fusion.items()}
        found |= {f"patches_{recipe}": model for recipe, model in self._patch_words.items()}
        found |= {f"image_tower_{recipe}": model for recipe, model in self._encoders.items()}
        found |= {f"towers_{recipe}": model for recipe, model in self._towers.items()}
        found |= {f"published_{recipe}": model for recipe, model in self._published.items()}
        return {name: model.fingerprint for name, model in found.items() if model is not None}

    def record_of(self, fingerprint: str) -> Mapping[str, Any]:
        """What the maker of a network wrote down; nothing of one that is not opened, or of published weights."""
        opened = (*self._mapping.values(), *self._fusion.values(), *self._patch_words.values())
        networks = (*opened, *self._encoders.values(), self.__dict__.get("own"))
        return next((one.metadata for one in networks if one and one.fingerprint == fingerprint), {})

    @property
    def facts(self) -> tuple[ModelFact, ...]:
        """Every part of the set with its licence and source, for people."""
        rows = parts_of(self.name, self.llm)
        found = [ModelFact(what, part.name, part.licence, source_of(part)) for what, part in rows]
        if is_server(self.llm) and (model := self.language_model) is not None:
            found.append(ModelFact("language model", model.name, "its server's own", self.where_asked))
        if self.own_phi is not None:
            found.append(ModelFact("phi of your own", self.own_phi.name, "your own", "a file of your own"))
        return tuple(found)

    @property
    def where_asked(self) -> str:
        """Where captions and edits go, in a sentence; "" where they stay on this machine."""
        if not is_server(self.llm):
            return ""
        shown = read_address(self.llm).shown
        return f"The language model is asked at {shown}: captions and edits go there, pictures never."

    def close(self) -> None:
        """End the language model's process, or what its server is asked, if it was started."""
        worker = self.__dict__.get("language_model")
        if worker is not None:
            worker.close()

    @property
    def ready(self) -> bool:
        """Whether nothing that was put off is still to be loaded by `load_all`."""
        return self._parts.ready

    def load_all(self) -> None:
        """Load what was put off, in the order in which it was asked for.

        Raises:
            CirError: one could not be loaded; whoever uses it is told the same.
        """
        self._parts.load_all()
