"""Arguments are checked before anything is loaded, and every help names what there is to choose from."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from cir.__main__ import main

ROOT = Path(__file__).resolve().parents[1]
HEAVY = ["torch", "open_clip", "transformers", "llama_cpp", "timm", "gradio", "faiss", "pandas"]
REFUSED = {
    "index WRONG": "WRONG is not there",
    "index . --name ../up": "cannot be the name of a gallery",
    "index . --batch-size 0": "--batch-size is 0",
    "search": "nothing to search for",
    "search --image none.jpg": "none.jpg is not there",
    "search --text x --method cirevll": "Did you mean CIReVL?",
    "search --text x --gallery nowhere": "There is no gallery nowhere",
    "search --text x --models basee": "Did you mean base?",
    "search --text x --llm none.gguf": "There is no file none.gguf",
    "search --text x --llm qwen": "no language model called 'qwen'",
    "search --text x --llm ftp://host#m": "no address of a language model's server",
    "search --text x --llm http://me:secret@host#m": "holds a name or a password",
    "search --text x --llm http://host#m --llm-key-env NOT_SET": "no variable NOT_SET",
    "tables methods --llm http://host#m --llm-at-once 0": "--llm-at-once is 0",
    "search --text x --llm none --llm-key-env HOME": "without a language model's server",
    "search --text x --phi picword": "Did you mean pic2word?",
    "search --text x --method lincir --phi none.safetensors": "called 'none.safetensors'",
    "search --text x --method lincir --phi hycir": "--phi has no meaning for LinCIR",
    "search --text x --alpha 7": "alpha is 7",
    "search --text x --alpha 0.8 --beta 0.8": "alpha + beta is 1.6",
    "serve --gallery nowhere": "There is no gallery nowhere",
    "serve --models WRONG": "no model set called 'WRONG'",
    "models pull larg": "Did you mean large?",
    "evaluate world --methods CVSI,cirevll": "Did you mean CIReVL?",
    "evaluate cirr --root nowhere": "There is no folder nowhere",
    "evaluate jsonl --queries none.jsonl": "There is no file none.jsonl",
    "tables methods --clip nowhere": "There is no folder nowhere",
    "synthesize --out x --engine-check cirevll": "Did you mean CIReVL?",
    "train mapping --recipe hycir --triplets none": "There is no file none",
    "ablate --triplets none": "There is no file none",
    "ablate --tables fusion --recipes tirgg": "Did you mean tirg?",
    "triplets export none out": "There is no file none",
    "search --text x --gallery=": "--gallery was given without a value",
    "search --text x --since=": "--since was given without a value",
    "search --text x --reference-id=": "--reference-id was given without a value",
    "serve --auth=": "--auth was given without a value",
    "index ''": "What follows index is empty",
    "index --no-captions ''": "--no-captions was given without a value",
    "galleries move rome ''": "What follows rome is empty",
    "triplets export '' out": "What follows export is empty",
    "galleries delete --yes nowhere": "There is no gallery called 'nowhere', nor any other",
    "search --text x --folder nowhere": "there is no folder 'nowhere' in this gallery",
    "search --text x --reference-id nowhere": "There is no image 'nowhere' in this gallery",
    "search --text x --more nowhere": "There is no image 'nowhere' in this gallery",
    "search --text x --less nowhere": "There is no image 'nowhere' in this gallery",
    "search --text x --top-k 601": "--top-k is 601",
    "evaluate jsonl --queries README.md --method sum --top-k 7": "--top-k is 7",
    "search --text x --set t": "CVSI has no number called 't'",
    "search --text x --method slerp --set t=5": "t is 5",
    "search --text x --method sum --set w=0.3": "Sum has no number called 'w'",
    "search --text x --at-least nan": "--at-least is nan",
    "train mapping --recipe hycir --rate -1": "--rate is -1",
    "train mapping --recipe hycir --rate nan": "--rate is nan",
    "train mapping --recipe hycir --minutes nan": "--minutes is nan",
    "train mapping --recipe hycir --min-similarity 7": "--min-similarity is 7",
    "train world-clip --composed-share 2": "--composed-share is 2",
    "train photographs --photographs nowhere": "There is no folder nowhere",
    "models pull laptop --minutes -1": "--minutes is -1",
    "tables methods --seed -1": "--seed is -1",
    "synthesize --out x --seed -1": "--seed is -1",
}
RUN_ALL = """
import contextlib, io, json, shlex, sys
from cir.__main__ import main
answers = {}
for line in json.load(sys.stdin):
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        try:
            status = main(shlex.split(line))
        except SystemExit as end:
            status = end.code
    answers[line] = [status, said.getvalue(), [m for m in sys.argv[1:] if m in sys.modules]]
print(json.dumps(answers))
"""


def run_all(lines: list[str], folder: Path) -> dict[str, tuple[int, str, list[str]]]:
    """(exit status, what was written, heavy libraries that had been loaded by then) of each command line."""
    done = subprocess.run(
        [sys.executable, "-c", RUN_ALL, *HEAVY],
        input=json.dumps(lines),
        capture_output=True,
        text=True,
        check=True,
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "CIR_CACHE": str(folder / "cache")},
    )
    return json.loads(done.stdout)


def test_wrong_arguments_are_refused_in_a_sentence_before_any_library_is_loaded(tmp_path):
    answers = run_all(list(REFUSED), tmp_path)
    for line, sentence in REFUSED.items():
        status, said, loaded = answers[line]
        assert status == 2, line
        assert sentence in said, line
        assert "Traceback" not in said
        assert loaded == [], line


def test_a_network_takes_no_place_of_another_file_but_that_of_a_network(tmp_path):
    (tmp_path / "notes.txt").write_text("what I have found out")
    (tmp_path / "empty").touch()
    (tmp_path / "mine.safetensors").write_bytes((8).to_bytes(8, "little") + b"{}      ")
    lines = [
        f"train mapping --recipe hycir --triplets none --out {name}"
        for name in ("notes.txt", "empty", "mine.safetensors", "new")
    ]
    said = [answer[1] for answer in run_all(lines, tmp_path).values()]
    assert ["it is no network" in one for one in said] == [True, True, False, False]
    assert "There is no file none" in said[2]


def test_a_file_in_the_place_of_the_folder_of_galleries_is_told_by_every_command(tmp_path):
    (tmp_path / "cache").write_text("no folder")
    lines = ["galleries", "search --text x", "index .", "serve", "models list"]
    for line, (status, said, loaded) in run_all(lines, tmp_path).items():
        assert (status, loaded) == (2, []), line
        assert "Galleries are kept in a folder" in said


# An option that would be ignored -> the option that is named in the refusal.
EXCLUDED = {
    "search --text x --method sum --alpha 0.5": "alpha",
    "search --text x --method SEARLE-OTI --gamma 0.5": "gamma",
    "search --text x --method cirevl --phi pic2word": "phi",
    "search --text x --method ldre --beta 0.5": "beta",
    "search --text x --method slerp --gamma 0.5": "gamma",
    "search --text x --method slerp --captions 3": "captions",
    "search --text x --method ldre --captions 2": "captions",
    "evaluate circo --root . --method LDRE --captions 1": "captions",
    "tables methods --methods Sum,LDRE --captions 2": "captions",
    "search --text x --method pic2word --released-code": "released-code",
    "search --text x --method sum --phi .": "phi",
    "evaluate circo --root . --method cirevl --alpha 0.5": "alpha",
    "evaluate circo --root . --method lincir --captions 4": "captions",
    "evaluate jsonl --queries q.jsonl --method sum --gamma 0.1": "gamma",
    "evaluate world --methods Sum,Slerp --captions 3": "captions",
    "evaluate world --methods Sum,Pic2Word --gallery-captions 3": "gallery-captions",
    "evaluate world --methods Sum --fresh": "fresh",
    "models pull qwen2.5-coder-0.5b --llm gemma-3-270m": "llm",
    "index . --no-captions --captions-per-image 3": "captions-per-image",
    "evaluate cirr --root . --predictions y.json": "predictions",
    "evaluate cirr --root . --subset-predictions y.json": "subset-predictions",
    "evaluate circo --root . --annotations y.json": "annotations",
    "evaluate fashioniq --predictions y.json --annotations z.json --method cvsi": "method",
    "evaluate cirr --annotations z.json --alpha 0.3": "alpha",
    "evaluate jsonl --queries q.jsonl --gallery-captions 3": "gallery-captions",
    "tables methods --kept-only --fresh": "fresh",
    "tables methods --kept-only --ask": "ask",
    "tables methods --timed 3": "timed",
    "tables methods --dataset cirr --root . --gallery VAL": "gallery",
    "synthesize --out x --spoter . --template figure3": "template",
    "train crops --gallery A": "gallery",
    "train scenes --recipe lincir": "recipe",
    "train mapping --recipe lincir --steps 4": "steps",
    "train mapping --recipe searle --tokens 2": "tokens",
    "train mapping --recipe lincir --gallery A --loss triplet": "loss",
    "train mapping --recipe hycir --loss zs-cir --batch-triplets 3": "batch-triplets",
    "train mapping --recipe hycir --loss triplet --batch-images 3": "batch-images",
    "train mapping --recipe hycir --composed-share 0.2": "composed-share",
    "train mapping --recipe isa --steps 4 --minutes 1": "minutes",
    "train tat --steps 4 --minutes 1": "minutes",
    "ablate --recipes tirg": "recipes",
    "ablate --tables seeds --rate 0.1": "rate",
    "ablate --tables fusion --batch-images 8": "batch-images",
}


def test_an_option_that_would_be_ignored_is_refused_by_name_before_any_library_is_loaded(tmp_path):
    answers = run_all(list(EXCLUDED), tmp_path)
    for line, option in EXCLUDED.items():
        status, said, loaded = answers[line]
        assert (status, f"--{option} has no meaning " in said) == (2, True), f"{line}: {said}"
        assert loaded == [], line


def test_weights_and_networks_are_taken_by_the_methods_that_have_them(tmp_path):
    lines = ["search --text x --method cvsi --alpha 7", "search --text x --method slerp --beta 7"]
    lines += ["search --text x --method CVSI --phi picword"]
    lines += ["search --text x --method slerp --beta 0.5 --top-k 0"]
    lines += ["search --text x --method cirevl --captions 3 --top-k 0"]
    lines += ["search --text x --method CVSI+HyCIR --released-code --gamma 0.1 --top-k 0"]
    lines += ["evaluate world --methods Sum,CVSI --captions 3 --gallery-captions 2 --fresh --limit 0"]
    lines += ["evaluate world --methods Sum --tune --captions 3 --limit 0"]
    for status, said, _ in run_all(lines, tmp_path).values():
        assert status == 2
        assert "has no meaning" not in said


def test_help_names_methods_galleries_sets_and_networks_without_loading_them(tmp_path):
    gallery = tmp_path / "cache" / "Ferien Süd"
    gallery.mkdir(parents=True)
    (gallery / "manifest.json").write_text("{}", encoding="ascii")
    lines = [
        "--help",
        "search --help",
        "index --help",
        "serve --help",
        "synthesize --help",
        "evaluate jsonl --help",
    ]
    answers = run_all([*lines, "train --help", "--version"], tmp_path)
    assert all(status == 0 and loaded == [] for status, _, loaded in answers.values())
    said = answers["search --help"][1]
    for name in (
        "CVSI+HyCIR",
        "Ferien Süd",
        "embedded, embedded-blip, laptop, desktop, blip, base, large, giga",
        "pic2word (embedded)",
        "gemma-3-270m",
    ):
        assert name in said
    assert "Ferien Süd" in answers["evaluate jsonl --help"][1]
    assert answers["--version"][1].startswith("recompose 0.")


def test_explain_without_json_prints_terms_that_add_up_to_the_score(capsys):
    status = main(["search", "--text", "a red car", "--llm", "none", "--top-k", "2", "--explain"])
    lines = capsys.readouterr().out.splitlines()
    assert status == 0
    first = next(i for i, line in enumerate(lines) if line.startswith("   1  "))
    second = next(i for i, line in enumerate(lines) if line.startswith("   2  "))
    terms = [
        float(word.rstrip(","))
        for line in lines[first + 1 : second]
        for word in line.split()
        if word[0] in "+-"
    ]
    assert len(terms) >= 2
    assert sum(terms) == pytest.approx(float(lines[first].split()[1]), abs=5e-4)
