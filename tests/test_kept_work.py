"""Whatever is kept or gone on with depends on all that made it: change any of it, and nothing is reused; change nothing, and
no model is asked again."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from cir.cache_keys import INPUTS
from cir.commands import checks, mapping_training
from cir.errors import CirError
from cir.evaluation.benchmark import draw_benchmark, scenes_digest
from cir.evaluation.encoders import Encoders
from cir.gallery.gallery import Gallery
from cir.measuring import bench
from cir.syncir.candidates import SynCirSettings
from cir.syncir.query_text import CaptionSpoter
from cir.syncir.records import read_triplets, write_triplets
from cir.training.recipes import PICTURES, Stage
from cir.types import Triplet
from tests.commands import run
from tests.dataset_doubles import lay_out
from tests.fakes import ToyCaptioner, ToyClip, ToyLanguageModel, draw
from tests.syncir_doubles import FakeSpoter, made_gallery
from tests.syncir_doubles import run as run_syncir
from tests.test_hycir import clip  # noqa: F401  the small CLIP

# --- training on a gallery ---

NAMES = [f"image-{n}" for n in range(9)]


def small_gallery(name: str = "first", *, seed: int = 1, captions: str = "a red dog in the snow") -> Gallery:
    raw = np.random.default_rng(seed).normal(size=(len(NAMES), 16)).astype(np.float32)
    texts = [[f"{captions} and {n} boats"] for n in range(len(NAMES))]
    return Gallery.from_features(name, NAMES, raw, captions=texts)


def write_some_triplets(path: Path, text: str = "at night") -> None:
    rows = [Triplet(f"t{n}", NAMES[n], NAMES[n + 1], f"{text} {n}", verdict="kept") for n in range(6)]
    write_triplets(path, rows)


@pytest.fixture
def train(monkeypatch, tmp_path: Path, capsys, clip) -> Callable[..., tuple[Path, str]]:  # noqa: F811
    """Train with these options on a gallery; gives the run's folder and what was said."""
    write_some_triplets(tmp_path / "t.jsonl")
    monkeypatch.setitem(checks.CHECKS, "gallery", lambda *_: None)

    def one(
        recipe: str, *more: object, gallery: Gallery | None = None, other_clip: str = ""
    ) -> tuple[Path, str]:
        monkeypatch.setattr(clip, "fingerprint", other_clip or "small")
        monkeypatch.setattr(
            mapping_training,
            "build_models",
            lambda *_, **__: SimpleNamespace(name="embedded", tower=clip, photographs=None),
        )
        monkeypatch.setattr(
            mapping_training, "open_for", lambda *_: small_gallery() if gallery is None else gallery
        )
        options: dict[str, object] = {"--steps": 2, "--tokens": 1}
        if recipe == "hycir":
            options |= {"--triplets": tmp_path / "t.jsonl"}
        options |= dict(zip(more[::2], more[1::2], strict=True))
        words = [word for pair in options.items() for word in pair]
        status, out, err = run(
            capsys,
            "train",
            "mapping",
            "--recipe",
            recipe,
            "--gallery",
            "x",
            "--runs",
            tmp_path / "runs",
            *words,
        )
        assert status == 0, err
        return Path(out.split("--phi ")[1].split()[0]), err

    return one


@pytest.mark.parametrize("recipe", ["pic2word", "lincir", "hycir"])
def test_the_same_training_is_found_done_and_its_network_is_the_same(train, recipe: str) -> None:
    folder, _ = train(recipe)
    network, log = (folder / "mapping.safetensors").read_bytes(), (folder / "log.jsonl").read_text()
    again, said = train(recipe)
    assert again == folder
    assert "It was trained before: 2 steps made" in said
    assert (folder / "log.jsonl").read_text() == log
    assert len((folder / "mapping.safetensors").read_bytes()) == len(network)


@pytest.mark.parametrize(
    ("recipe", "change"),
    [
        ("pic2word", {"gallery": small_gallery(seed=2)}),
        ("pic2word", {"gallery": small_gallery("another", seed=2)}),
        ("lincir", {"gallery": small_gallery(captions="two blue cats at night")}),
        ("hycir", {"gallery": small_gallery(seed=2)}),
        ("pic2word", {"other_clip": "another@2"}),
        ("pic2word", {"--steps": 3}),
        ("pic2word", {"--minutes": 5}),
        ("pic2word", {"--rate": 0.01}),
        ("pic2word", {"--seed": 1}),
        ("pic2word", {"--tokens": 2}),
        ("pic2word", {"--batch-images": 4}),
        ("hycir", {"--batch-triplets": 3}),
        ("hycir", {"--min-similarity": -0.2}),
        ("hycir", {"--loss": "triplet"}),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(map(str, value)),
)
def test_a_training_on_anything_else_begins_anew_and_says_what_it_leaves_alone(train, recipe, change) -> None:
    first, _ = train(recipe)
    kept = {path: path.read_bytes() for path in first.iterdir()}
    keywords = {k: v for k, v in change.items() if not k.startswith("--")}
    options = [word for k, v in change.items() if k.startswith("--") for word in (k, v)]
    other, said = train(recipe, *options, **keywords)
    assert other != first
    assert first.name in said
    assert "left as it was" in said
    assert "trained before" not in said
    assert (other / "log.jsonl").read_text()
    assert {path: path.read_bytes() for path in first.iterdir()} == kept


def test_other_triplets_and_another_version_of_the_program_train_anew(train, tmp_path, monkeypatch) -> None:
    first, _ = train("hycir")
    write_some_triplets(tmp_path / "t.jsonl", "in a storm")
    second, _ = train("hycir")
    monkeypatch.setattr("cir.training.hycir.code_digest", lambda *_: "a later version")
    third, said = train("hycir")
    assert len({first, second, third}) == 3
    assert "differs in: program" in said


def test_a_finished_training_of_minutes_is_not_trained_longer_and_a_stopped_one_keeps_its_clock(
    train,
) -> None:
    folder, _ = train("pic2word", "--minutes", 0.0001, "--steps", 500)
    steps = len((folder / "log.jsonl").read_text().splitlines())
    _, said = train("pic2word", "--minutes", 0.0001, "--steps", 500)
    assert "It was trained before" in said
    assert len((folder / "log.jsonl").read_text().splitlines()) == steps < 500


def test_a_batch_that_nobody_asked_for_is_as_large_as_a_small_gallery(train, capsys) -> None:
    folder, said = train("pic2word")
    assert "a batch has all of them: --batch-images 9" in said
    assert json.loads((folder / INPUTS).read_text())["images"] == 9


# --- the stages of the embedded models ---


def save_checkpoint(path: Path, value: float, elapsed: float = 1.0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"model": {"weight": torch.full((2,), value)}, "elapsed": elapsed}, path)


@pytest.fixture
def stages(tmp_path: Path) -> Path:
    """Runs with a trunk, a CLIP and encoded pictures."""
    save_checkpoint(tmp_path / "scenes" / "checkpoint.pt", 1.0)
    save_checkpoint(tmp_path / "clip" / "checkpoint.pt", 1.0)
    for name in PICTURES:
        (tmp_path / name).mkdir()
        (tmp_path / name / "pictures.json").write_text("{}")
        np.save(tmp_path / name / "pooled-0000.npy", np.ones(3))
    return tmp_path


def stage_folder(runs: Path, **more: Any) -> Path:
    stage = Stage(runs, **more)
    extra = {
        "trunk": stage.checkpoint("scenes"),
        "pictures": stage.last("pictures", "pictures.json"),
        "recipe": "pic2word",
        "out": Path("anywhere"),
    }
    return stage.settings("mapping-pic2word-1", 4, **extra).folder


def test_a_stage_goes_on_in_its_folder_whatever_its_forerunners_clock_says(stages: Path) -> None:
    first = stage_folder(stages)
    save_checkpoint(stages / "scenes" / "checkpoint.pt", 1.0, elapsed=99.0)
    assert stage_folder(stages) == first


@pytest.mark.parametrize("change", ["weights", "pictures", "minutes", "seed", "ranks", "program"])
def test_a_stage_on_anything_else_has_another_folder_and_says_so(
    stages: Path, monkeypatch, change: str
) -> None:
    first, said = stage_folder(stages), []
    more: dict[str, Any] = {"say": said.append}
    if change == "weights":
        save_checkpoint(stages / "scenes" / "checkpoint.pt", 2.0)
    elif change == "pictures":
        np.save(stages / "pictures" / "pooled-0000.npy", np.zeros(3))
    elif change == "program":
        monkeypatch.setattr("cir.training.recipes.code_digest", lambda *_: "a later version")
    else:
        more |= {"minutes": 7.0} if change == "minutes" else {change: 2}
    assert stage_folder(stages, **more) != first
    assert any(first.name in sentence and "left as it was" in sentence for sentence in said)


# --- features and captions of a benchmark ---


class Counting(ToyClip):
    def encode_images(self, images):
        self.calls += 1
        return np.ones((len(images), self.dim), np.float32)


def test_two_runs_at_once_keep_each_pictures_captions_once_and_in_their_order(tmp_path) -> None:
    pictures = [lambda i=i: draw(("red", "blue", "green")[i % 3], "square") for i in range(500)]
    toy = Counting()

    class Interrupted(ToyCaptioner):
        """While it writes its second batch, another run over the same pictures goes all the way."""

        batches = 0

        def caption(self, images, *, per_image, seed):
            self.batches += 1
            if self.batches == 2:
                other = Encoders(toy, toy, ToyCaptioner(), tmp_path)
                assert len(other.captions("world", "drawn", pictures, 1, lambda _: None)) == 500
            return super().caption(images, per_image=per_image, seed=seed)

    def captions(captioner) -> list[list[str]]:
        return Encoders(toy, toy, captioner, tmp_path).captions("world", "drawn", pictures, 1, lambda _: None)

    alone = Encoders(toy, toy, ToyCaptioner(), tmp_path / "alone").captions(
        "world", "drawn", pictures, 1, lambda _: None
    )
    assert captions(Interrupted()) == alone
    assert captions(ToyCaptioner()) == alone  # as they are kept
    (kept,) = tmp_path.glob("captions-*.jsonl")
    kept.write_bytes(kept.read_bytes() * 2)
    assert captions(ToyCaptioner()) == alone


def test_features_and_captions_of_other_pictures_texts_or_models_are_not_reused(
    tmp_path, monkeypatch
) -> None:
    clip, captioner = Counting(), ToyCaptioner()  # noqa: F811
    encoders = Encoders(clip, clip, captioner, tmp_path)
    benchmark = draw_benchmark(queries=2, gallery=6, seed=1)
    other = draw_benchmark(queries=2, gallery=6, seed=2)

    def images(drawn: str) -> int:
        before = clip.calls
        encoders.images("world", drawn, lambda: [draw("red", "square")])
        return clip.calls - before

    def captions(drawn: str, per_image: int = 1) -> int:
        before = captioner.calls
        encoders.captions("world", drawn, [lambda: draw("red", "square")], per_image, lambda _: None)
        return captioner.calls - before

    def texts(*said: str) -> int:
        before = clip.calls
        encoders.texts("world", said)
        return clip.calls - before

    assert [images(benchmark.drawn), images(benchmark.drawn), images(other.drawn)] == [1, 0, 1]
    assert [captions(benchmark.drawn), captions(benchmark.drawn), captions(other.drawn)] == [1, 0, 1]
    assert captions(benchmark.drawn, 2) == 1
    assert [texts("red", "blue"), texts("red", "blue"), texts("blue", "red")] == [1, 0, 1]
    encoders = replace(encoders, image_encoder=clip, text_encoder=clip)
    monkeypatch.setattr(clip, "fingerprint", "toy@2", raising=False)
    monkeypatch.setattr(captioner, "fingerprint", "captioner@2", raising=False)
    assert (images(benchmark.drawn), captions(benchmark.drawn), texts("red", "blue")) == (1, 1, 1)
    before = scenes_digest(benchmark.scenes.values())
    monkeypatch.setattr("cir.evaluation.benchmark.code_digest", lambda *_: "drawn by a later version")
    assert scenes_digest(benchmark.scenes.values()) != before


# --- evaluations and tables ---


def change_the_annotations(root: Path) -> None:
    path = root / "annotations" / "val.json"
    path.write_text(path.read_text().replace('relative_caption": "', 'relative_caption": "now '))


def change_a_picture(root: Path) -> None:
    draw("yellow", "triangle").save(root / "COCO2017_unlabeled" / "unlabeled2017" / "000000000103.png")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("nothing", ""),
        ("annotations", "asked"),
        ("picture", "images"),
        ("program", "program"),
        ("clip", "models"),
    ],
)
def test_results_of_an_evaluation_are_gone_on_with_only_where_nothing_has_changed(
    capsys, tmp_path, toys, monkeypatch, change, said
) -> None:
    root = lay_out("circo", tmp_path / "CIRCO")
    command = ("evaluate", "circo", "--root", root, "--json", "--resume")
    assert run(capsys, *command)[0] == 0
    if change == "annotations":
        change_the_annotations(root)
    elif change == "picture":
        change_a_picture(root)
    elif change == "program":
        monkeypatch.setattr("cir.commands.evaluating_datasets.code_digest", lambda *_: "later")
    elif change == "clip":
        monkeypatch.setattr(toys.clip, "fingerprint", "toy@2", raising=False)
    asked = len(toys.language_model.prompts)
    status, _, err = run(capsys, *command)
    assert len(toys.language_model.prompts) == asked
    assert (status, said in err) == ((0, True) if change == "nothing" else (2, True))
    if said:
        assert "made otherwise; this differs" in err


@pytest.mark.parametrize("change", ["nothing", "annotations", "picture", "program", "captions", "answers"])
def test_composed_queries_of_a_table_are_reused_only_where_nothing_has_changed(
    capsys, tmp_path, toys, monkeypatch, change
) -> None:
    root = lay_out("circo", tmp_path / "CIRCO")
    command = [
        "tables",
        "methods",
        "--dataset",
        "circo",
        "--root",
        root,
        "--methods",
        "CVSI",
        "--out",
        tmp_path / "r.md",
    ]
    assert run(capsys, *command)[0] == 0
    composed = []
    real = bench.compose_kept

    def watched(path, queries, picture, composer, *rest, **more):
        def asked(query):
            composed.append(query.query_id)
            return texts(query)

        texts = more.pop("texts")
        return real(path, queries, picture, composer, *rest, texts=asked, **more)

    monkeypatch.setattr(bench, "compose_kept", watched)
    if change == "annotations":
        change_the_annotations(root)
    elif change == "picture":
        change_a_picture(root)
    elif change == "program":
        monkeypatch.setattr("cir.measuring.bench.method_code", lambda _: "later")
    elif change == "captions":
        command += ["--captions", 2]
    elif change == "answers":
        (book,) = (tmp_path / "cache" / "evaluations" / "circo-val").glob("answers-*.jsonl")
        rows = [json.loads(line) for line in book.read_text().splitlines()]
        book.write_text("".join(json.dumps({**row, "answer": "a green circle"}) + "\n" for row in rows))
    status, _, err = run(capsys, *command)
    assert status == 0, err
    assert len(composed) == (0 if change == "nothing" else 4)


# --- triplets ---


def test_triplets_are_gone_on_with_only_on_the_same_gallery_prompt_and_ranker(tmp_path: Path) -> None:
    out = tmp_path / "t.jsonl"
    gallery = made_gallery()
    spoter = FakeSpoter()
    run_syncir(out, gallery, spoter, limit=5)
    run_syncir(out, gallery, spoter, limit=8)
    assert len(spoter.asked) == len(read_triplets(out)) == 8
    lines = out.read_bytes()
    captions = [["now said otherwise", "x"], *([json.loads(text)[0], "x"] for text in gallery.texts[1:])]
    for other, more, said in (
        (made_gallery(captions=captions), {}, "content"),
        (gallery, {"settings": SynCirSettings(seed=3)}, "seed"),
        (gallery, {"target_ranker": lambda _: 1, "ranked_with": "cvsi@1"}, "target ranker"),
    ):
        with pytest.raises(CirError, match=said):
            run_syncir(out, other, FakeSpoter(), limit=9, **more)
    assert out.read_bytes() == lines


def test_a_file_without_its_gallerys_content_is_checked_line_by_line(tmp_path: Path) -> None:
    out = tmp_path / "t.jsonl"
    run_syncir(out, limit=3)
    (tmp_path / "t.manifest.json").unlink()
    rows = read_triplets(out)
    write_triplets(out, [replace(rows[0], reference_caption="as it was said once"), *rows[1:]])
    with pytest.raises(CirError, match=r"Line 1 of t\.jsonl is not the pair that comes next"):
        run_syncir(out, limit=4)


def test_another_prompt_is_another_spoter(monkeypatch) -> None:
    first = CaptionSpoter(ToyLanguageModel()).fingerprint
    assert CaptionSpoter(ToyLanguageModel()).fingerprint == first
    assert CaptionSpoter(ToyLanguageModel(), "figure3").fingerprint != first
    monkeypatch.setattr("cir.prompts._FIGURE_3", "Say what is different.")
    assert CaptionSpoter(ToyLanguageModel()).fingerprint != first
