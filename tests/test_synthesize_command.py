"""`python -m cir synthesize` and `triplets`: what they print and refuse; and the models that they may load."""

from __future__ import annotations

import errno
import json
import os
import shlex
import shutil
import threading
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import COLOURS, SHAPES, ToyCaptioner, ToyClip, ToyLanguageModel, draw, toy_retriever
from PIL import Image
from syncir_doubles import BagOfWords, made_gallery

import cir.commands.synthesizing as command
from cir.commands import evaluating_datasets
from cir.errors import CirError, LanguageModelFailed, MissingModel, UnsafeFile
from cir.gallery.indexing import index_folder
from cir.gallery.opening import open_gallery
from cir.models.protocols import SpotInput
from cir.models.server.model import connect
from cir.syncir.judgements import Judgement, append_judgement
from cir.syncir.query_text import CaptionSpoter
from cir.syncir.records import (
    read_manifest,
    read_triplets,
    write_manifest,
    write_triplets,
)
from cir.types import Triplet
from tests.commands import run
from tests.dataset_doubles import ToyModels, toy_methods
from tests.llm_server import Asked, llm_server, toy


class Doubles:
    """Stands for the models, and remembers what was asked of it."""

    where_asked = ""
    why_no_language_model = ""

    def __init__(self) -> None:
        self.language_model = ToyLanguageModel()
        self.missing: dict[str, str] = {}
        self.closed = False

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def doubles(monkeypatch: pytest.MonkeyPatch) -> Doubles:
    models = Doubles()
    monkeypatch.setattr(command, "build_models", lambda *_, **__: models)
    monkeypatch.setattr(command, "open_for", lambda models, gallery: made_gallery())
    monkeypatch.setattr(command, "build_sentence_encoder", lambda folder, pooling: BagOfWords())
    return models


def test_the_funnel_is_printed_and_the_file_is_there(capsys, tmp_path: Path, doubles: Doubles) -> None:
    out = tmp_path / "t.jsonl"
    status, said, progress = run(capsys, "synthesize", "--out", out, "--limit", 20, "--json")
    answer = json.loads(said)
    rows = read_triplets(out)
    assert status == 0
    assert len(rows) == 20
    assert answer["file"] == str(out)
    assert answer["funnel"] == read_manifest(out)["funnel"]
    assert answer["funnel"]["kept"] == sum(row.verdict == "kept" for row in rows)
    assert f"20 of 20 pairs, {answer['funnel']['kept']} kept" in progress
    assert doubles.closed


def test_a_server_writes_the_texts_of_several_pairs_at_once_into_the_same_file(
    capsys, tmp_path: Path, doubles: Doubles
) -> None:
    run(capsys, "synthesize", "--out", tmp_path / "one.jsonl", "--limit", 20)
    gate = threading.Barrier(4)

    def reply(asked: Asked, row: Any, number: int) -> None:
        if number <= 4:
            gate.wait(timeout=20)  # nobody is answered before four have asked
        toy(asked, row, number)

    with llm_server(reply) as llm, connect(f"{llm.url}#small") as model:
        doubles.language_model = model  # type: ignore[assignment]
        status, _, _ = run(capsys, "synthesize", "--out", tmp_path / "t.jsonl", "--limit", 20)
        assert status == 0
        assert llm.most_under_way == 4
    assert read_triplets(tmp_path / "t.jsonl") == read_triplets(tmp_path / "one.jsonl")


def test_a_server_that_fails_in_the_midst_leaves_what_was_done_and_the_run_goes_on_later(
    capsys, tmp_path: Path, doubles: Doubles
) -> None:
    out = tmp_path / "t.jsonl"

    def reply(asked: Asked, row: Any, number: int) -> None:
        if number > 9:
            asked.say({}, 401)
        else:
            toy(asked, row, number)

    with llm_server(reply) as llm:
        with connect(f"{llm.url}#small") as model:
            doubles.language_model = model  # type: ignore[assignment]
            status, _, said = run(capsys, "synthesize", "--out", out, "--limit", 20)
        assert (status, "refuses the key" in said, "Kept in t.jsonl: " in said) == (2, True, True)
        done = read_triplets(out)
        assert 0 < len(done) < 20
        llm.reply = toy
        with connect(f"{llm.url}#small") as model:
            doubles.language_model = model  # type: ignore[assignment]
            assert run(capsys, "synthesize", "--out", out, "--limit", 20)[0] == 0
    assert read_triplets(out)[: len(done)] == done
    assert len(read_triplets(out)) == 20


def test_without_json_the_funnel_is_a_table_with_the_reasons(
    capsys, tmp_path: Path, doubles: Doubles
) -> None:
    doubles.language_model.script = ["???", "make it blue"] * 6
    _, said, _ = run(capsys, "synthesize", "--out", tmp_path / "t.jsonl", "--limit", 12)
    lines = said.splitlines()
    assert [line.split()[0] for line in lines] == ["images", "groups", "pairs", "done", "texts", "kept"]
    assert lines[0].split()[1] == "30"
    assert "no usable text" in lines[-1]


def test_settings_reach_the_run(capsys, tmp_path: Path, doubles: Doubles) -> None:
    out = tmp_path / "t.jsonl"
    run(
        capsys, "synthesize", "--out", out, "--limit", 9, "--threshold", 0.5, "--near-duplicate", 0.9, "--gap", 0.001,
        "--reading", "distance", "--combine", "concatenate", "--seed", 7, "--template", "figure3",
    )  # fmt: skip
    manifest = read_manifest(out)
    assert manifest["settings"]["thresholds"] == {
        "consistency": 0.5, "near_duplicate": 0.9, "gap": 0.001, "max_target_rank": None,
    }  # fmt: skip
    assert manifest["settings"]["reading"] == "distance"
    assert manifest["settings"]["combine"] == "concatenate"
    assert manifest["settings"]["seed"] == 7
    assert manifest["models"]["spoter"] == CaptionSpoter(ToyLanguageModel(), "figure3").fingerprint


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--threshold", "1.5"], "consistency is 1.5"),
        (["--threshold", "nan"], "consistency has to be a number"),
        (["--near-duplicate", "-2"], "near duplicate is -2"),
        (["--reading", "cosine"], "no reading called 'cosine'"),
        (["--combine", "product"], "called 'product'"),
        (["--limit", "0"], "--limit is 0"),
        (["--max-target-rank", "5"], "no method to find the rank with"),
        (["--max-target-rank", "0", "--engine-check", "CVSI"], "--max-target-rank is 0"),
        (["--spoter", "/no/such/folder"], "no multimodal model in folder"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_no_file(
    capsys, tmp_path: Path, doubles: Doubles, arguments: list[str], said: str
) -> None:
    status, out, err = run(capsys, "synthesize", "--out", tmp_path / "t.jsonl", *arguments)
    assert (status, out) == (2, "")
    assert said in err
    assert "Traceback" not in err
    assert not (tmp_path / "t.jsonl").exists()


def test_without_a_language_model_the_way_out_is_said(capsys, tmp_path: Path, doubles: Doubles) -> None:
    doubles.language_model = None  # type: ignore[assignment]
    doubles.why_no_language_model = "The language model is switched off. Choose one with --llm."
    status, _, err = run(capsys, "synthesize", "--out", tmp_path / "t.jsonl")
    assert status == 2
    assert "switched off" in err
    assert err.count("--llm") == 1
    assert "--spoter" in err


def test_a_language_model_that_dies_leaves_what_was_done(capsys, tmp_path: Path, doubles: Doubles) -> None:
    died = LanguageModelFailed("It died.", "")
    doubles.language_model.script = ["make it blue", died, died]
    status, _, err = run(capsys, "synthesize", "--out", tmp_path / "t.jsonl")
    assert status == 2
    assert "It died. Kept in" in err
    assert len(read_triplets(tmp_path / "t.jsonl")) == 1
    assert doubles.closed


def test_the_engines_check_ranks_the_target_without_the_reference(monkeypatch, tmp_path: Path) -> None:
    retriever = toy_retriever()
    monkeypatch.setattr(command, "ingredients", lambda models, only=(): None)
    made = dict(retriever.composers)
    monkeypatch.setattr(
        command,
        "build_methods",
        lambda _, only=made: {n: one for n, one in made.items() if n.lower() in {o.lower() for o in only}},
    )
    gallery = retriever.gallery
    draw("red", "square").save(tmp_path / "red-square.png")
    monkeypatch.setattr(type(gallery), "image_path", lambda self, one: tmp_path / f"{one}.png")
    ranker = command.build_target_ranker(None, gallery, "cvsi")  # type: ignore[arg-type]
    assert ranker is not None
    assert ranker(Triplet("1", "red-square", "blue-square", "make it blue")) == 1
    assert ranker(Triplet("1", "red-square", "yellow-triangle", "make it blue")) > 1
    with pytest.raises(CirError, match="no method called 'magic'"):
        command.build_target_ranker(None, gallery, "magic")  # type: ignore[arg-type]


def test_triplets_are_exported_as_people_judged_them(
    capsys, tmp_path: Path, doubles: Doubles, monkeypatch
) -> None:
    path, out = tmp_path / "t.jsonl", tmp_path / "cirr.json"
    monkeypatch.setattr(
        "cir.syncir.picture_names.picture_places",
        lambda *_: (tmp_path, {one: f"{one}.png" for one in made_gallery().image_ids}, ""),
    )
    doubles.language_model.script = [f"add {count} hats" for count in range(9)]
    run(capsys, "synthesize", "--out", path, "--limit", 9, "--threshold", -1)
    kept = [row for row in read_triplets(path) if row.verdict == "kept"]
    append_judgement(path, Judgement(kept[0].triplet_id, "rejected"))
    append_judgement(path, Judgement(kept[1].triplet_id, "edited", "paint it"))
    status, said, _ = run(capsys, "triplets", "export", path, out)
    rows = json.loads(out.read_text())
    assert status == 0
    assert [row["caption"] for row in rows] == ["paint it", *[row.text for row in kept[2:]]]
    assert all(row["reference"].endswith(".png") for row in rows)
    assert f"{len(rows)} of 9" in said
    status, _, err = run(capsys, "triplets", "export", path, out)
    assert (status, "there already" in err) == (2, True)


@pytest.fixture
def own_folder(tmp_path: Path, monkeypatch, doubles: Doubles) -> Path:
    """Pictures in folders below a folder, indexed by the toys, and triplets of them in t.jsonl."""
    root, clip, captioner = tmp_path / "my pictures", ToyClip(), ToyCaptioner()
    monkeypatch.setenv("CIR_CACHE", str(tmp_path / "cache"))
    for number, (colour, shape) in enumerate(product(COLOURS, SHAPES)):
        place = root / "süd" / shape / f"{colour} {number}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        draw(colour, shape).save(place)
    for _ in index_folder(
        root,
        name="mine",
        image_encoder=clip,
        text_encoder=clip,
        captioner=captioner,
        cache_root=tmp_path / "cache",
    ):
        pass
    gallery = open_gallery("mine", cache_root=tmp_path / "cache", image_encoder_fingerprint=clip.fingerprint)
    ids = {
        os.fsdecode(relative): one for one, relative in zip(gallery.image_ids, gallery.relatives, strict=True)
    }
    red, blue, *others = (
        ids[f"süd/square/{name}.png"] for name in ("red 0", "blue 6", "green 3", "yellow 9")
    )
    rows = [
        Triplet("1", red, blue, "make it blue", verdict="kept", members=(red, blue, *others), ranks=(0, 1)),
        Triplet("2", blue, others[0], "make it green", verdict="kept"),
        Triplet("3", red, "long-gone", "make it pink", verdict="kept"),
        Triplet("4", others[0], red, "nonsense", verdict="dropped", reason="inconsistent"),
    ]
    write_triplets(tmp_path / "t.jsonl", rows)
    write_manifest(tmp_path / "t.jsonl", {"gallery": {"name": "mine"}})
    return root


def test_exported_triplets_of_an_own_folder_are_a_data_set_that_evaluate_reads(
    capsys, tmp_path: Path, own_folder: Path, monkeypatch
) -> None:
    out = tmp_path / "as CIRR"
    status, said, err = run(capsys, "triplets", "export", tmp_path / "t.jsonl", out)
    assert status == 0, err
    assert "2 of 4 triplets written" in said
    assert "no longer in the gallery: 1 triplet" in said
    told = shlex.split(said.splitlines()[-1].split("python -m cir ")[1])
    shutil.rmtree(own_folder)  # what was exported is whole without it

    captions = json.loads((out / "cirr" / "captions" / "cap.rc2.val.json").read_text())
    more = json.loads((out / "cirr" / "captions_ext" / "cap.ext.rc2.val.json").read_text())
    split = json.loads((out / "cirr" / "image_splits" / "split.rc2.val.json").read_text())
    assert [(row["reference"], row["target_hard"]) for row in captions] == [
        ("süd/square/red 0.png", "süd/square/blue 6.png"), ("süd/square/blue 6.png", "süd/square/green 3.png"),
    ]  # fmt: skip
    assert [{k: v for k, v in row.items() if k != "caption_extend"} for row in more] == captions
    assert split == {
        f"süd/square/{name}.png": f"./süd/square/{name}.png"
        for name in ("blue 6", "green 3", "red 0", "yellow 9")
    }
    assert all(Image.open(out / place).size == (48, 48) for place in split.values())

    monkeypatch.setattr(evaluating_datasets, "build_models", lambda *_, **__: ToyModels())
    monkeypatch.setattr(evaluating_datasets, "build_methods", toy_methods)
    capsys.readouterr()
    status, answer, err = run(capsys, *told, "--json")
    assert status == 0, err
    measured = json.loads(answer)
    assert (measured["queries"], measured["R@1"], measured["searched"]) == (2, 100.0, 4)

    status, _, err = run(capsys, "triplets", "export", tmp_path / "t.jsonl", out)
    assert (status, "has a split val already" in err) == (2, True)


def test_an_export_that_ran_out_of_room_leaves_no_half_picture_and_is_made_whole_by_the_next(
    capsys, tmp_path: Path, own_folder: Path, monkeypatch
) -> None:
    copied, out = shutil.copyfile, tmp_path / "as CIRR"

    def half(source: Path, place: Path) -> None:
        Path(place).write_bytes(source.read_bytes()[:20])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(shutil, "copyfile", half)
    status, _, err = run(capsys, "triplets", "export", tmp_path / "t.jsonl", out)
    assert (status, "Free some space" in err) == (2, True)
    assert [path for path in out.rglob("*") if path.is_file()] == []
    monkeypatch.setattr(shutil, "copyfile", copied)
    assert run(capsys, "triplets", "export", tmp_path / "t.jsonl", out)[0] == 0
    split = json.loads((out / "cirr" / "image_splits" / "split.rc2.val.json").read_text())
    assert all(Image.open(out / place).size == (48, 48) for place in split.values())


def test_an_export_without_its_gallery_asks_for_it(capsys, tmp_path: Path, own_folder: Path) -> None:
    write_manifest(tmp_path / "t.jsonl", {"gallery": {"name": "renamed since"}})
    status, _, err = run(capsys, "triplets", "export", tmp_path / "t.jsonl", tmp_path / "out")
    assert (status, "--gallery NAME" in err) == (2, True)
    assert not (tmp_path / "out").exists()
    command_line = ("triplets", "export", tmp_path / "t.jsonl", tmp_path / "out.json", "--gallery", "mine")
    assert run(capsys, *command_line)[0] == 0
    rows = json.loads((tmp_path / "out.json").read_text())
    assert [row["reference"] for row in rows] == ["süd/square/red 0.png", "süd/square/blue 6.png"]
    assert not (tmp_path / "süd").exists()


def test_an_imported_file_names_pictures_as_it_did_and_none_outside_its_folder(
    capsys, tmp_path: Path
) -> None:
    def exported(name: str, reference: str, out: str) -> tuple[int, str, str]:
        write_triplets(tmp_path / name, [Triplet("1", reference, "b.png", "make it blue", verdict="kept")])
        return run(capsys, "triplets", "export", tmp_path / name, tmp_path / out)

    assert exported("t.jsonl", "a.png", "rows.json")[0] == 0
    assert json.loads((tmp_path / "rows.json").read_text())[0]["reference"] == "a.png"
    for number, outside in enumerate(("../secret.png", "/etc/hostname")):
        status, _, err = exported(f"u{number}.jsonl", outside, f"folder{number}/in")
        assert (status, "leads out of" in err) == (2, True)
        assert not (tmp_path / f"folder{number}" / "in" / "cirr").exists()


def test_a_file_without_triplets_is_neither_imported_nor_exported(capsys, tmp_path: Path) -> None:
    (tmp_path / "none.json").write_text("[]")
    (tmp_path / "none.jsonl").touch()
    out = tmp_path / "out.json"
    told = [
        run(capsys, "triplets", "import", tmp_path / "none.json", out),
        run(capsys, "triplets", "export", tmp_path / "none.jsonl", out),
    ]
    assert [status for status, _, _ in told] == [2, 2]
    assert [err.splitlines()[0] for _, _, err in told] == [
        "There is no triplet in none.json.",
        "There is no triplet in none.jsonl.",
    ]
    assert not out.exists()


def test_where_no_triplet_is_kept_none_is_exported_unless_all_are_asked_for(
    capsys, tmp_path: Path, own_folder: Path
) -> None:
    path, out = tmp_path / "t.jsonl", tmp_path / "out.json"
    write_triplets(path, [replace(one, verdict="too alike") for one in read_triplets(path)])
    status, _, err = run(capsys, "triplets", "export", path, out)
    assert (status, out.exists()) == (2, False)
    assert "None of the" in err
    assert "--everything" in err
    assert run(capsys, "triplets", "export", path, out, "--everything")[0] == 0


def test_foreign_triplets_are_imported(capsys, tmp_path: Path) -> None:
    row = {"qid": 1, "query-image": [1, "a.jpg"], "query-text": "in the snow", "target-image": [2, "b.jpg"]}
    (tmp_path / "lasco.json").write_text(json.dumps([row]))
    status, said, _ = run(capsys, "triplets", "import", tmp_path / "lasco.json", tmp_path / "t.jsonl")
    assert status == 0
    assert said.startswith("1 triplet written")
    assert read_triplets(tmp_path / "t.jsonl")[0].text == "in the snow"
    (tmp_path / "marked.json").write_text(json.dumps([row]), encoding="utf-8-sig")
    assert run(capsys, "triplets", "import", tmp_path / "marked.json", tmp_path / "m.jsonl")[0] == 0
    assert read_triplets(tmp_path / "m.jsonl") == read_triplets(tmp_path / "t.jsonl")
    lines = (tmp_path / "m.jsonl").read_text(encoding="utf-8")
    (tmp_path / "m.jsonl").write_text(lines, encoding="utf-8-sig")  # as an editor leaves it
    assert read_triplets(tmp_path / "m.jsonl") == read_triplets(tmp_path / "t.jsonl")
    status, _, err = run(capsys, "triplets", "import", tmp_path / "none.json", tmp_path / "u.jsonl")
    assert (status, "none.json" in err) == (2, True)


# Models behind the protocols, tiny and random


def bert_folder(folder: Path) -> Path:
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder.mkdir(parents=True, exist_ok=True)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "red", "blue", "square", "make", "it"]
    (folder / "vocab.txt").write_text("\n".join(words))
    BertTokenizerFast(vocab_file=str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(0)
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    BertModel(BertConfig(vocab_size=len(words), **size)).save_pretrained(folder)
    return folder


@pytest.mark.slow
def test_a_sentence_encoder_pools_the_words_and_nothing_else(tmp_path: Path) -> None:
    import torch

    from cir.models.sentence_encoder import load_sentence_encoder

    folder = bert_folder(tmp_path / "bert")
    mean = load_sentence_encoder(folder, device="cpu")
    cls = load_sentence_encoder(folder, pooling="cls", device="cpu")
    texts = ["a red square", "make it blue", "a"]
    rows = mean.encode(texts)
    assert np.linalg.norm(rows, axis=1) == pytest.approx(1.0, abs=1e-6)
    for text, row, first in zip(texts, rows, cls.encode(texts), strict=True):
        with torch.no_grad():
            states = mean.model(**mean.tokenizer([text], return_tensors="pt")).last_hidden_state[0]
        expected = states.mean(dim=0).numpy()
        assert row == pytest.approx(expected / np.linalg.norm(expected), abs=1e-5)  # padding does not count
        start = states[0].numpy()
        assert first == pytest.approx(start / np.linalg.norm(start), abs=1e-5)
    assert mean.fingerprint != cls.fingerprint
    assert mean.encode([]).shape == (0, 16)
    assert mean.encode(["red " * 900]).shape == (1, 16)


@pytest.mark.slow
def test_a_sentence_encoder_that_is_none_is_refused(tmp_path: Path) -> None:
    from cir.models.sentence_encoder import load_sentence_encoder

    with pytest.raises(MissingModel, match="no sentence encoder in nothing"):
        load_sentence_encoder(tmp_path / "nothing")
    folder = bert_folder(tmp_path / "bert")
    with pytest.raises(CirError, match="no pooling called 'max'"):
        load_sentence_encoder(folder, pooling="max")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:200])
    with pytest.raises(UnsafeFile, match="could not be loaded"):
        load_sentence_encoder(folder)


@pytest.mark.slow
def test_the_real_sentence_encoder_tells_a_text_that_fits_from_one_that_does_not() -> None:
    from cir.syncir.consistency import consistency_scores

    try:
        encoder = command.build_sentence_encoder()
    except MissingModel:
        pytest.skip("all-MiniLM-L6-v2 was not fetched")
    captions = ["two cats and a bowl on a wooden table"] * 2
    targets = ["a dog and a bowl on a wooden table"] * 2
    good, bad = consistency_scores(
        captions, ["replace the cats with a dog", "at night in space"], targets, encoder
    )
    assert good > bad + 0.05


def llava_folder(folder: Path, *, template: bool = True) -> Path:
    import torch
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from transformers import (
        CLIPImageProcessor,
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
        PreTrainedTokenizerFast,
    )

    words = {
        w: i for i, w in enumerate(["<pad>", "<unk>", "<image>", "</s>", "make", "it", "blue", "add", "hat"])
    }
    inner = Tokenizer(WordLevel(words, unk_token="<unk>"))
    inner.pre_tokenizer = Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="<pad>", unk_token="<unk>", eos_token="</s>")  # fmt: skip
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    chat = (
        "{% for m in messages %}{% for c in m['content'] %}{% if c['type'] == 'image' %}<image> {% else %}"
        "{{ c['text'] }}{% endif %}{% endfor %}{% endfor %}"
    )
    side = {"height": 28, "width": 28}
    processor = LlavaProcessor(
        image_processor=CLIPImageProcessor(size={"shortest_edge": 28}, crop_size=side),
        tokenizer=tokenizer,
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=chat if template else None,
    )
    vision = CLIPVisionConfig(hidden_size=16, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2, image_size=28, patch_size=14)  # fmt: skip
    text = LlamaConfig(hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=2, vocab_size=len(words), eos_token_id=3, pad_token_id=0)  # fmt: skip
    torch.manual_seed(1)
    model = LlavaForConditionalGeneration(LlavaConfig(vision_config=vision, text_config=text, image_token_index=words["<image>"]))  # fmt: skip
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


@pytest.mark.slow
def test_any_multimodal_model_of_a_folder_can_write_the_texts(tmp_path: Path, monkeypatch) -> None:
    from cir.models.multimodal_spoter import load_multimodal_spoter

    spoter = load_multimodal_spoter(llava_folder(tmp_path / "llava"), device="cpu")
    opened: list[str] = []

    def picture(colour: str) -> Image.Image:
        opened.append(colour)
        return Image.new("RGB", (40, 30), colour)

    given: dict = {}
    generate = spoter.model.generate
    monkeypatch.setattr(spoter.model, "generate", lambda **inputs: given.update(inputs) or generate(**inputs))
    reference, target = (
        SpotInput("a red square", lambda: picture("red")),
        SpotInput("a blue one", lambda: picture("blue")),
    )
    text = spoter.spot(reference, target)
    assert opened == ["red", "blue"]
    assert given["pixel_values"].shape == (2, 3, 28, 28)
    assert not np.allclose(given["pixel_values"][0], given["pixel_values"][1])
    assert int((given["input_ids"] == 2).sum()) == 8  # four patches of each picture
    assert isinstance(text, str)
    monkeypatch.setattr(spoter.processor, "decode", lambda *_, **__: "Instruction: make it blue")
    assert spoter.spot(reference, target) == "make it blue"
    monkeypatch.setattr(spoter.processor, "decode", lambda *_, **__: "a blue one")
    assert spoter.spot(reference, target) == ""


@pytest.mark.slow
def test_a_model_that_cannot_be_asked_about_pictures_is_refused(tmp_path: Path) -> None:
    from cir.models.multimodal_spoter import load_multimodal_spoter

    with pytest.raises(UnsafeFile, match="no chat template"):
        load_multimodal_spoter(llava_folder(tmp_path / "llava", template=False), device="cpu")
    with pytest.raises(UnsafeFile, match="could not be loaded"):
        load_multimodal_spoter(bert_folder(tmp_path / "bert"), device="cpu")


@pytest.mark.slow
def test_a_resnet_of_a_folder_encodes_pictures_for_mining(tmp_path: Path) -> None:
    import timm
    import torch
    from safetensors.torch import save_file

    from cir.models.resnet import load_resnet

    torch.manual_seed(0)
    whole = timm.create_model("resnet10t", pretrained=False)
    (tmp_path / "resnet").mkdir()
    save_file(whole.state_dict(), tmp_path / "resnet" / "model.safetensors")
    encoder = load_resnet(tmp_path / "resnet", architecture="resnet10t", device="cpu")
    pictures = [Image.new("RGB", (60, 40), colour) for colour in ("red", "blue")]
    rows = encoder.encode_images(pictures)
    assert rows.shape == (2, encoder.dim)
    assert rows.dtype == np.float32
    assert encoder.encode_images(pictures[1:])[0] == pytest.approx(rows[1], abs=1e-4)
    assert not np.allclose(rows[0], rows[1])
    with pytest.raises(UnsafeFile, match="is not resnet152"):
        load_resnet(tmp_path / "resnet", device="cpu")
    with pytest.raises(MissingModel, match=r"no model\.safetensors in nothing"):
        load_resnet(tmp_path / "nothing")
