"""What every method promises, on the toy world; then what is each method's own; then the second look."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cir.composers.basic import UNBOUND, Basic, object_directions, space_of
from cir.composers.caption_memory import CaptionMemory
from cir.composers.composer import Composer, gallery_encoder_of
from cir.composers.cvsi import PARTS
from cir.composers.cvsi import weights as cvsi_weights
from cir.composers.ingredients import Ingredients
from cir.composers.ldre import ensemble_weights
from cir.composers.method_card import SUPERVISED, ZERO_SHOT
from cir.composers.parameters import Values, defaults
from cir.composers.registry import METHODS, build_methods
from cir.composers.slerp import arc_shares
from cir.errors import BadQuery, CirError, LanguageModelFailed, MissingModel
from cir.gallery.gallery import Gallery
from cir.picture_memory import ReferenceEncoder
from cir.prompts import captioning_text, concept_in, hycir_template, searle_template
from cir.ranking.rerank import local_concepts, rerank_by_concepts
from cir.ranking.retriever import Retriever, scoring_of, weight_note
from cir.ranking.scoring import Factor, GalleryTerms, Linear, Product, QueryTerms
from cir.types import (
    FINE_GRAINED,
    MODIFIED_CAPTIONS,
    REFERENCE_IMAGE,
    REMOVED_OBJECTS,
    ComposedQuery,
    Query,
    RetrievedImage,
)
from tests.fakes import (
    ToyCaptioner,
    ToyClip,
    ToyDenoiser,
    ToyFusion,
    ToyLanguageModel,
    ToyPatchWords,
    ToyPhi,
    ToyTuned,
    draw,
    toy_gallery,
    unit,
)

DOCS = Path(__file__).resolve().parents[1] / "docs" / "methods.md"
EDIT = Query(draw("red", "square"), "make it blue")
NAMES = [card.name for card in METHODS]
MISSING = {"captioner": "No captioner: run X.", "language model": "No language model: run Y."}


class ToyRefiner:
    """Moves a word to the image's own in two steps."""

    steps, fingerprint = 2, "toy-refiner@1"

    def __init__(self) -> None:
        self.concepts: list[list[str]] = []

    def refine(
        self, features: NDArray[np.float32], words: NDArray[np.float32], concepts: Sequence[str]
    ) -> Iterator[tuple[int, NDArray[np.float32]]]:
        self.concepts.append(list(concepts))
        target = unit(features)[:, None, :]
        yield 1, (words + target) / 2
        yield 2, target


def ingredients(**changes: object) -> Ingredients:
    """Everything there is, in toys."""
    clip = ToyClip()
    whole = Ingredients(
        clip,
        clip,
        clip,
        lambda recipe: ToyPhi(),
        CaptionMemory(ToyCaptioner()),
        ToyLanguageModel(),
        ToyRefiner(),
        missing=MISSING,
        fusion=lambda recipe: ToyDenoiser() if recipe == "compodiff" else ToyFusion(),
        encoder=lambda recipe: ToyTuned(),
        concept_refiner=ToyRefiner(),
        patch_encoder=clip,
        patch_words=lambda recipe: ToyPatchWords(),
    )
    return replace(whole, **changes)  # type: ignore[arg-type]


def method(name: str, **changes: object) -> Composer:
    return build_methods(ingredients(**changes))[name]


def bound(name: str, **changes: object) -> Composer:
    return Retriever(toy_gallery(), {name: method(name, **changes)}).composers[name]


def last(stages: Iterator[ComposedQuery]) -> ComposedQuery:
    *_, whole = stages
    return whole


def best(name: str, query: Query = EDIT, weights: Values | None = None, **changes: object) -> str:
    """The first image of the toy gallery by a method, under its own weights."""
    retriever = Retriever(toy_gallery(), {name: method(name, **changes)})
    composed = last(retriever.compose(query, name))
    chosen = weights or retriever.defaults(name)
    return retriever.rank(composed, chosen, top_k=1)[0].image_id


@pytest.mark.parametrize("name", NAMES)
def test_every_stage_of_every_method_has_unit_rows_of_known_names(name: str) -> None:
    stages = list(bound(name).compose(EDIT))
    for stage in stages:
        assert stage.parts
        assert set(stage.parts) <= {*PARTS, REMOVED_OBJECTS}
        for row in stage.parts.values():
            assert (row.shape, row.dtype) == ((ToyClip.dim,), np.float32)
            assert np.linalg.norm(row) == pytest.approx(1.0, abs=1e-5)
    assert [bool(stage.pending) for stage in stages] == [True] * (len(stages) - 1) + [False]


@pytest.mark.parametrize("name", NAMES)
def test_every_method_says_the_same_again(name: str) -> None:
    one, other = (last(bound(name).compose(EDIT)) for _ in range(2))
    assert list(one.parts) == list(other.parts)
    for part, row in one.parts.items():
        np.testing.assert_array_equal(row, other.parts[part])
    assert (one.trace, one.notes) == (other.trace, other.notes)


@pytest.mark.parametrize("name", NAMES)
def test_every_method_is_called_as_its_card_says_and_its_parameters_are_weights(name: str) -> None:
    made = method(name)
    assert made.name == name
    composed = last(bound(name).compose(EDIT))
    assert bool(made.parameters) == (composed.scoring is not None)
    assert composed.scoring is made.scoring
    for parameter in made.parameters:
        assert parameter.low <= parameter.default <= parameter.high
        assert parameter.meaning
        assert parameter.symbol
        assert parameter.label


@pytest.mark.parametrize("name", NAMES)
def test_the_weights_that_count_are_those_of_the_parts_and_sum_to_one(name: str) -> None:
    made = bound(name)
    composed = last(made.compose(EDIT))
    scoring = scoring_of(composed, defaults(made.parameters))
    numbers = scoring.weights
    assert set(numbers) == set(composed.parts)
    assert isinstance(scoring, Product) or sum(n for n in numbers.values() if n > 0) == pytest.approx(1.0)
    assert weight_note(composed, made.parameters, defaults(made.parameters)) == ""


@pytest.mark.parametrize("name", sorted(card.name for card in METHODS if not card.parameters))
def test_a_method_without_parameters_is_ranked_the_same_whatever_the_weights(name: str) -> None:
    retriever = Retriever(toy_gallery(), {name: method(name)})
    composed = last(retriever.compose(EDIT, name))
    orders = {
        tuple(r.image_id for r in retriever.rank(composed, cvsi_weights(*w), top_k=12))
        for w in ((0.0, 0.0, 0.0), (1.0, 0.0, 1.0), (0.2, 0.3, 0.5))
    }
    assert len(orders) == 1


@pytest.mark.parametrize(
    "name",
    sorted(set(NAMES) - {"Image-only", "Text-only", "Sum", "Slerp", "Slerp+TAT", "BGE-VL", "Captioning"}),
)
def test_every_method_that_composes_finds_the_blue_square(name: str) -> None:
    assert best(name) == "blue-square"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("query", "needs", "found"),
    [
        (Query(None, "blue"), "needs a reference image", "blue-"),
        (Query(draw("green", "circle"), ""), "needs an edit", "green-circle"),
    ],
    ids=["no image", "no edit"],
)
def test_with_half_a_query_a_method_finds_what_that_half_says_or_says_what_it_needs(
    name: str, query: Query, needs: str, found: str
) -> None:
    try:
        said = best(name, query)
    except BadQuery as refused:  # the sentence, and behind it the remedy
        said = str(refused)
    assert re.match(rf"{found}|{re.escape(name)} {needs}\. .", said)


@pytest.mark.parametrize("name", ["CVSI", "CVSI+HyCIR", "Slerp", "Slerp+TAT", "Sum", "Text-only"])
def test_these_methods_search_by_text_alone(name: str) -> None:
    assert best(name, Query(None, "blue")).startswith("blue-")


@pytest.mark.parametrize(
    "name", ["CVSI", "HyCIR", "SEARLE-OTI", "Pic2Word", "Captioning", "Sum", "Image-only"]
)
def test_these_methods_search_by_image_alone(name: str) -> None:
    assert best(name, Query(draw("green", "circle"), "")) == "green-circle"


@pytest.mark.parametrize("card", METHODS, ids=NAMES)
@pytest.mark.parametrize("what", ["captioner", "language model"])
def test_without_a_model_that_it_needs_a_method_says_how_to_get_it(card, what: str) -> None:
    given = ingredients(**{what.replace(" ", "_"): None})
    made = build_methods(given)[card.name]
    if what not in card.needs:
        assert last(made.compose(EDIT)).parts
    elif card.name in ("CVSI", "CVSI+HyCIR", "CVSI+removal", "SEARLE-OTI"):  # these go on without, and say so
        said = " ".join(last(made.compose(EDIT)).notes)
        assert MISSING[what] in said or "There is no captioner" in said
    else:
        with pytest.raises(MissingModel, match=f"{card.name} needs a {what}. {MISSING[what]}"):
            last(made.compose(EDIT))


@pytest.mark.parametrize("card", METHODS, ids=NAMES)
def test_a_method_is_left_out_when_its_mapping_network_is_not_here(card) -> None:
    none = {"phi": lambda recipe: None, "encoder": lambda recipe: None, "patch_words": lambda recipe: None}
    made = build_methods(ingredients(**none))
    networks = ("phi", "image tower", "patches")
    assert (card.name in made) == (not any(need.startswith(networks) for need in card.needs))


@pytest.mark.parametrize("name", NAMES)
def test_every_stage_says_which_features_of_the_gallery_it_is_compared_with(name: str) -> None:
    made = bound(name)
    own = gallery_encoder_of(made)
    assert {stage.space for stage in made.compose(EDIT)} == {"" if own is None else own.fingerprint}


@pytest.mark.parametrize("card", METHODS, ids=NAMES)
def test_a_supervised_method_is_left_out_when_its_network_is_not_here(card) -> None:
    made = build_methods(ingredients(fusion=lambda recipe: None))
    assert (card.name in made) == (card.family == ZERO_SHOT)
    assert (card.family == SUPERVISED) == any(need.startswith("network ") for need in card.needs)


def test_the_table_of_methods_in_the_docs_is_the_registry() -> None:
    lines = DOCS.read_text(encoding="utf-8").splitlines()
    start = (
        lines.index(
            "| method | paper | file | template | needs beside CLIP | defaults | licence of the original |"
        )
        + 2
    )
    rows = lines[start : start + len(METHODS)]
    for row, card in zip(rows, METHODS, strict=True):
        template = f"`{card.template}`" if card.template else "-"
        needs = ", ".join(card.needs) or "-"
        cells = [card.name, card.paper, f"`{card.file}`", template, needs, card.defaults or "-", card.licence]
        assert row == f"| {' | '.join(cells)} |"
        assert (DOCS.parents[1] / card.file).is_file()
    assert not lines[start + len(METHODS)].startswith("|")


def test_the_templates_are_those_of_the_papers() -> None:
    assert searle_template("is red") == ("a photo of", "that is red")
    assert hycir_template("is red") == ("a photo of", ", is red")
    assert captioning_text("a red square.", "make it blue") == "a red square, make it blue"
    assert captioning_text("", "blue") == "blue"
    assert concept_in("A photo of a red dog on the beach.") == "a red dog on the beach"


def test_of_the_methods_that_are_wanted_alone_no_other_is_made() -> None:
    asked: list[str | None] = []

    def phi(recipe: str | None) -> ToyPhi:
        asked.append(recipe)
        return ToyPhi()

    made = build_methods(ingredients(phi=phi, encoder=None, fusion=None), ["pic2WORD", "sum"])
    assert (list(made), asked) == (["Pic2Word", "Sum"], ["pic2word"])
    assert build_methods(ingredients(), ["magic"]) == {}


class TestReferenceEncoder:
    def test_a_picture_is_encoded_once_whatever_else_is_asked_for_with_it(self) -> None:
        clip = ToyClip()
        encoder, one, two = ReferenceEncoder(clip), draw("red", "circle"), draw("blue", "circle")
        first = encoder.encode_images([one, two, one])
        np.testing.assert_array_equal(first, clip.encode_images([one, two, one]))
        calls = clip.calls
        np.testing.assert_array_equal(encoder.encode_images([two]), first[1:2])
        assert clip.calls == calls
        encoder.forget()
        encoder.encode_images([two])
        assert clip.calls == calls + 1

    def test_what_a_caller_does_to_a_row_stays_with_it(self) -> None:
        encoder, picture = ReferenceEncoder(ToyClip()), draw("red", "circle")
        row = encoder.encode_images([picture])
        kept = row.copy()
        row[:] = 0
        np.testing.assert_array_equal(encoder.encode_images([picture]), kept)


class TestCaptionMemory:
    def test_all_methods_share_the_captions_of_a_picture(self) -> None:
        captioner = ToyCaptioner()
        made = build_methods(ingredients(captioner=CaptionMemory(captioner)))
        for name in ("CVSI", "CIReVL", "Captioning", "SEARLE-OTI", "CVSI"):
            last(made[name].compose(EDIT))
        assert captioner.calls == 1

    def test_another_picture_another_number_and_another_seed_are_asked_for(self) -> None:
        captioner = ToyCaptioner()
        memory, one, two = CaptionMemory(captioner), draw("red", "circle"), draw("blue", "circle")
        assert memory.caption([one, two, one], per_image=1, seed=0) == [
            ["a red circle"],
            ["a blue circle"],
            ["a red circle"],
        ]
        memory.caption([two], per_image=1, seed=0)
        assert captioner.calls == 1
        memory.caption([one], per_image=2, seed=0)
        memory.caption([one], per_image=1, seed=1)
        assert captioner.calls == 3

    def test_what_a_caller_does_to_its_captions_stays_with_it(self) -> None:
        memory = CaptionMemory(ToyCaptioner())
        memory.caption([draw("red", "circle")], per_image=1, seed=0)[0].append("nonsense")
        assert memory.caption([draw("red", "circle")], per_image=1, seed=0) == [["a red circle"]]


class TestSlerp:
    @settings(max_examples=30, deadline=None)
    @given(st.integers(0, 10_000), st.floats(0.0, 1.0))
    def test_the_shares_point_where_the_formula_points(self, seed: int, t: float) -> None:
        u, v = unit(np.random.default_rng(seed).standard_normal((2, 6)).astype(np.float32)).astype(np.float64)
        first, second = arc_shares(float(u @ v), t)
        angle = np.arccos(u @ v)
        expected = (np.sin((1 - t) * angle) * u + np.sin(t * angle) * v) / np.sin(angle)
        found = first * u + second * v
        np.testing.assert_allclose(found / np.linalg.norm(found), expected, atol=1e-6)
        assert first + second == pytest.approx(1.0)

    @pytest.mark.parametrize("cosine", [1.0, -1.0, 1.0 + 1e-9])
    def test_rows_without_an_arc_of_their_own_are_joined_in_a_straight_line(self, cosine: float) -> None:
        assert arc_shares(cosine, 0.25) == (0.75, 0.25)

    def test_t_moves_the_order_from_the_image_to_the_text_without_a_model(self) -> None:
        clip = ToyClip()
        retriever = Retriever(
            toy_gallery(), {"Slerp": method("Slerp", image_encoder=clip, text_encoder=clip)}
        )
        composed = last(retriever.compose(EDIT, "Slerp"))
        calls = clip.calls
        first = [retriever.rank(composed, {"t": t}, top_k=1)[0].image_id for t in (0.0, 0.5, 1.0)]
        assert first[0] == "red-square"
        assert first[1] in ("red-square", "blue-square")
        assert first[2].startswith("blue-")
        assert clip.calls == calls

    def test_t_alone_counts_and_at_its_ends_it_is_one_side(self) -> None:
        composed = last(method("Slerp").compose(EDIT))
        assert scoring_of(composed, {"t": 0.0}) == Linear({REFERENCE_IMAGE: 1.0, FINE_GRAINED: 0.0})
        assert scoring_of(composed, {"t": 1.0}).weights[FINE_GRAINED] == pytest.approx(1.0)

    def test_with_one_side_it_is_that_side_and_says_so(self) -> None:
        composed = last(method("Slerp").compose(Query(None, "blue")))
        assert scoring_of(composed, {"t": 0.3}) == Linear({FINE_GRAINED: 1.0})
        assert any("it is that one" in note for note in composed.notes)


class TestBgeVl:
    def test_at_the_start_it_is_the_sum_of_the_features_as_the_encoders_give_them(self) -> None:
        clip = ToyClip()
        composed = last(method("BGE-VL").compose(EDIT))
        image = clip.encode_images([EDIT.reference_image])[0]
        text = clip.encode_raw_texts([EDIT.modification_text])[0]
        found = scoring_of(composed, {"w": 0.5}).weights
        query = sum(found[name] * row for name, row in composed.parts.items())
        assert np.linalg.norm(image) != pytest.approx(np.linalg.norm(text))
        np.testing.assert_allclose(
            query / np.linalg.norm(query), (image + text) / np.linalg.norm(image + text), atol=1e-6
        )

    def test_w_moves_the_order_from_the_image_to_the_text_without_a_model(self) -> None:
        clip = ToyClip()
        made = method("BGE-VL", image_encoder=clip, text_encoder=clip)
        retriever = Retriever(toy_gallery(), {"BGE-VL": made})
        composed = last(retriever.compose(EDIT, "BGE-VL"))
        calls = clip.calls
        first = [retriever.rank(composed, {"w": w}, top_k=1)[0].image_id for w in (0.0, 1.0)]
        assert first[0] == "red-square"
        assert first[1].startswith("blue-")
        assert clip.calls == calls


class TestBasic:
    def test_the_score_is_the_papers_word_for_word(self) -> None:
        gallery, composer = toy_gallery(), bound("BASIC")
        assert isinstance(composer, Basic)
        composed = last(composer.compose(EDIT))
        clip, space = ToyClip(), space_of(composer.corpora, composer.engine)
        images = gallery.image_features.astype(np.float64)
        image = clip.encode_images([EDIT.reference_image])[0].astype(np.float64)
        text = clip.encode_texts([EDIT.modification_text])[0].astype(np.float64)
        projection = space.directions @ space.directions.T
        u = projection @ (image / np.linalg.norm(image) - images.mean(axis=0))
        w = text - space.text_mean
        (least_image, least_text), truth = space.least, []
        for row in images - images.mean(axis=0):
            a = max(0.0, (u @ row - least_image) / abs(least_image))
            b = max(0.0, (w @ row - least_text) / abs(least_text))
            truth.append(least_image**2 * (a * b - 0.1 * (a + b) ** 2))
        retriever = Retriever(gallery, {"BASIC": composer})
        np.testing.assert_allclose(retriever.scores(composed, {"lambda": 0.1}), truth, atol=1e-6)

    def test_directions_are_those_in_which_objects_differ_and_contexts_do_not(self) -> None:
        rng = np.random.default_rng(0)
        sizes = np.array([3.0, 2.0, 0.3, 0.3])
        named, around = rng.normal(size=(400, 4)) * sizes, rng.normal(size=(400, 4)) * sizes[::-1] * 3
        found = object_directions(named.astype(np.float32), around.astype(np.float32))
        np.testing.assert_allclose(found.T @ found, np.eye(found.shape[1]), atol=1e-9)
        assert np.abs(found[:2]).max(axis=0).min() > 0.9  # of the first two axes, none of the others
        assert found.shape[1] == 2

    def test_lambda_sinks_what_is_like_one_side_alone(self) -> None:
        factors = {"one": Factor(1.0, 0.0), "other": Factor(1.0, 0.0)}
        both, alone = np.array([[0.5, 0.5]]), np.array([[0.9, 0.3]])
        terms = QueryTerms(("one", "other"), np.concatenate([both, alone]), np.zeros((2, 2)), np.eye(2))
        ones = np.ones(2)
        norms = GalleryTerms(ones, ones, ones, np.zeros(2, bool))
        assert Product(factors, 0.0).scores(terms, norms).argmax() == 1
        assert Product(factors, 0.1).scores(terms, norms).argmax() == 0

    def test_what_all_edits_have_in_common_is_no_likeness(self) -> None:
        class Orders(ToyClip):
            """Reads an order as mostly an order, and what it is about beside that."""

            def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
                orders = ("add", "replace", "without", "show", "make")
                rows = [[2.0 * text.startswith(orders), float("dog" in text), 0.5] for text in texts]
                return np.array([row / np.linalg.norm(row) for row in rows], np.float32)

        pictures = np.array([[1.0, 0.0, 0.3], [0.0, 1.0, 0.3], [-1.0, -1.0, 0.3]], np.float32)
        gallery = Gallery.from_features("made", ["an order", "a dog", "neither"], pictures)
        retriever = Retriever(gallery, {"BASIC": Basic(Orders(), Orders())})
        composed = last(retriever.compose(Query(None, "add a dog"), "BASIC"))
        assert retriever.rank(composed, {"lambda": 0.1})[0].image_id == "a dog"

    def test_without_a_gallery_it_says_that_nothing_is_centred(self) -> None:
        assert UNBOUND in last(method("BASIC").compose(EDIT)).notes


class TestSearleOti:
    def test_it_starts_at_the_networks_word_and_tells_its_steps(self) -> None:
        class Elsewhere(ToyPhi):
            def map_features(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
                return np.roll(super().map_features(features), 1, axis=2)

        stages = list(method("SEARLE-OTI", phi=lambda recipe: Elsewhere()).compose(EDIT))
        assert [stage.pending for stage in stages] == [
            "refining the image word: step 0 of 2",
            "refining the image word: step 1 of 2",
            "",
        ]
        assert best("SEARLE-OTI", phi=lambda recipe: Elsewhere()) == "blue-square"
        assert best("SEARLE", Query(draw("red", "square")), phi=lambda recipe: Elsewhere()) != "red-square"

    def test_the_same_picture_is_refined_once_and_another_anew(self) -> None:
        refiner = ToyRefiner()
        made = method("SEARLE-OTI", refiner=refiner)
        one = last(made.compose(EDIT))
        again = list(made.compose(EDIT))
        assert len(again) == 1
        np.testing.assert_array_equal(one.parts[FINE_GRAINED], again[0].parts[FINE_GRAINED])
        last(made.compose(Query(draw("red", "circle"), "make it blue")))
        assert len(refiner.concepts) == 2

    def test_what_was_left_midway_is_not_kept(self) -> None:
        refiner = ToyRefiner()
        made = method("SEARLE-OTI", refiner=refiner)
        stages = made.compose(EDIT)
        next(stages), next(stages)
        stages.close()  # type: ignore[attr-defined]
        assert len(list(made.compose(EDIT))) == 3

    def test_captions_stand_for_the_word_in_the_phrases(self) -> None:
        refiner = ToyRefiner()
        last(method("SEARLE-OTI", refiner=refiner).compose(EDIT))
        assert refiner.concepts == [["a red square"]]


class TestDescribedTarget:
    def test_cirevl_edits_one_caption_and_asks_what_cvsi_asks(self) -> None:
        asked, shared = ToyLanguageModel(), ToyLanguageModel()
        composed = last(method("CIReVL", language_model=asked).compose(EDIT))
        last(method("CVSI", language_model=shared).compose(EDIT))
        assert composed.trace["captions"] == ("a red square",)
        assert composed.trace[MODIFIED_CAPTIONS] == ("a blue square",)
        assert set(asked.prompts) <= set(shared.prompts)

    def test_ldre_edits_several_captions(self) -> None:
        model = ToyLanguageModel()
        composed = last(bound("LDRE", language_model=model).compose(EDIT))
        assert len(composed.trace["captions"]) == len(model.prompts) == 3

    def test_while_it_thinks_the_captions_stand_there_with_the_edit_behind(self) -> None:
        model = ToyLanguageModel()
        first = next(method("CIReVL", language_model=model).compose(EDIT))
        assert model.prompts == []
        assert first.pending
        np.testing.assert_allclose(
            first.parts[MODIFIED_CAPTIONS],
            ToyClip().encode_texts(["a red square, make it blue"])[0],
            atol=1e-6,
        )

    @pytest.mark.parametrize("name", ["CIReVL", "LDRE"])
    def test_a_model_that_does_not_answer_leaves_caption_and_edit(self, name: str) -> None:
        model = ToyLanguageModel([LanguageModelFailed("No answer within 10 s.", "It was started again.")])
        composed = last(bound(name, language_model=model).compose(EDIT))
        assert composed.trace[MODIFIED_CAPTIONS][0] == "a red square, make it blue"
        assert any("did not answer" in note for note in composed.notes)

    def test_a_picture_without_words_is_searched_for_by_the_edit(self) -> None:
        class Mute(ToyCaptioner):
            def caption(self, images, *, per_image, seed):
                return [[] for _ in images]

        composed = last(method("CIReVL", captioner=CaptionMemory(Mute())).compose(EDIT))
        np.testing.assert_allclose(
            composed.parts[MODIFIED_CAPTIONS], ToyClip().encode_texts(["make it blue"])[0], atol=1e-6
        )
        assert any("found no words" in note for note in composed.notes)

    def test_junk_twice_leaves_caption_and_edit_with_a_note(self) -> None:
        model = ToyLanguageModel(["<|im_start|>", "```"])
        composed = last(method("CIReVL", language_model=model).compose(EDIT))
        assert composed.trace[MODIFIED_CAPTIONS] == ("a red square, make it blue",)
        assert any("unusable" in note for note in composed.notes)


class TestLdreWeights:
    def test_they_are_the_formula_said_slowly(self) -> None:
        rng = np.random.default_rng(3)
        before, after, images = (unit(rng.standard_normal((n, 5)).astype(np.float32)) for n in (4, 4, 30))
        sums = []
        for b, a in zip(before, after, strict=True):
            losses = sorted((max(0.0, float(image @ b) - float(image @ a)) for image in images), reverse=True)
            sums.append(sum(losses[:5]))
        raised = [np.exp(s / max(sums) / 0.04) for s in sums]
        np.testing.assert_allclose(
            ensemble_weights(images @ (before - after).T), np.array(raised) / sum(raised), rtol=1e-3
        )

    def test_an_edit_that_was_not_carried_out_counts_for_nothing(self) -> None:
        clip = ToyClip()
        before = clip.encode_texts(["a red square", "one red square"])
        after = clip.encode_texts(["a blue square", "one red square"])
        weights = ensemble_weights(toy_gallery().image_features @ (before - after).T)
        assert weights[0] > 0.999

    def test_when_no_edit_changed_anything_all_count_alike(self) -> None:
        rows = ToyClip().encode_texts(["a red square", "a blue circle"])
        np.testing.assert_allclose(
            ensemble_weights(toy_gallery().image_features @ (rows - rows).T), [0.5, 0.5]
        )

    def test_without_a_gallery_it_says_that_all_count_alike(self) -> None:
        composed = last(method("LDRE").compose(EDIT))
        assert any("no gallery" in note for note in composed.notes)
        assert not any("no gallery" in note for note in last(bound("LDRE").compose(EDIT)).notes)

    def test_binding_leaves_the_method_itself_free_for_another_gallery(self) -> None:
        free = method("LDRE")
        Retriever(toy_gallery(), {"LDRE": free})
        assert free.engine is None  # type: ignore[attr-defined]


def over(**changes: bool) -> Retriever:
    return Retriever(toy_gallery(**changes), {})


class TestSecondLook:
    results = tuple(
        RetrievedImage(rank, name, score)
        for rank, (name, score) in enumerate(
            [("red-square", 0.50), ("green-square", 0.49), ("blue-square", 0.48), ("yellow-circle", 0.1)],
            start=1,
        )
    )

    def test_images_that_show_the_concept_come_first_with_their_own_scores(self) -> None:
        found = rerank_by_concepts(self.results, ["a blue thing"], over(), ToyClip())
        assert found[0] == RetrievedImage(1, "blue-square", 0.48)
        assert {r.image_id for r in found} == {r.image_id for r in self.results}
        assert [r.rank for r in found] == [1, 2, 3, 4]

    def test_captions_count_where_there_are_any(self) -> None:
        class Blind(ToyClip):
            def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
                return unit(np.ones((len(texts), self.dim), np.float32))

        with_captions = rerank_by_concepts(self.results, ["a blue square"], over(), Blind(), weight=1.0)
        assert with_captions[0].image_id == "blue-square"

    @pytest.mark.parametrize("concepts", [[], ["", "the"]])
    def test_without_a_concept_the_order_stays(self, concepts: list[str]) -> None:
        found = rerank_by_concepts(self.results, concepts, over(captions=False), ToyClip(), weight=0.1)
        assert [r.image_id for r in found] == [r.image_id for r in self.results]

    def test_no_results_stay_no_results(self) -> None:
        assert rerank_by_concepts([], ["blue"], over(), ToyClip()) == []

    def test_concepts_are_the_added_objects_or_else_the_edit(self) -> None:
        parts = last(method("Text-only").compose(EDIT)).parts
        named = ComposedQuery(parts, {"added_objects": ("a dog",)})
        assert local_concepts(named, "with a dog") == ["a dog"]
        assert local_concepts(ComposedQuery(parts), "with a dog") == ["with a dog"]
        assert local_concepts(ComposedQuery(parts), "") == []


def test_a_refusal_is_meant_for_people() -> None:
    with pytest.raises(CirError) as refused:
        last(method("CIReVL", captioner=None).compose(EDIT))
    assert refused.value.message == "CIReVL needs a captioner. No captioner: run X."
    assert refused.value.remedy == "Until then, choose another method."
