"""Fetching a set while the page is served: how far it is, how it ends, what the page says and offers; going on with it."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from download_doubles import link_sentence_encoder
from gallery_doubles import folder_in_memory, paint_folder
from hub_server import HubServer, hub_server
from shelf_doubles import Bench, Gate

from cir.__main__ import main
from cir.commands.addresses import read_address
from cir.commands.exclusions import refuse_empty
from cir.commands.going_on import GoingOn, again_with
from cir.commands.serving import model_sets, read_options
from cir.errors import BadQuery, CirError, GalleryError, MissingModel
from cir.models import fetching as fetching_module
from cir.models.chosen import choose_set, chosen_set
from cir.models.fetching import FAILED, READY, STOPPED, Fetching
from cir.ui.galleries import model_render
from cir.ui.galleries.model_sets import ModelSets, ModelsScreen, ModelsSession, fetch, go_on, screen_of

Script = Callable[[str], None]
FLORENCE = "florence-community/Florence-2-base"
CLIP = "BAAI/BGE-VL-base"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty models folder."""
    place = tmp_path / "models"
    place.mkdir()
    monkeypatch.setenv("CIR_HOME", str(place))
    monkeypatch.delenv("CIR_MODELS", raising=False)
    return place


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Script:
    """Let a program of a few lines fetch in place of the command."""

    def use(lines: str) -> None:
        begin = "import json, sys, time\ndef tell(**row): print(json.dumps(row), flush=True)\n"
        monkeypatch.setattr(fetching_module, "pull_command", lambda *_: [sys.executable, "-c", begin + lines])

    return use


def put_here(home: Path) -> None:
    """Every model of the set, as if it had been copied into place."""
    for folder in ("BGE-VL-base", "Florence-2-base"):
        (home / folder).mkdir()
        (home / folder / "config.json").write_text("{}")
        (home / folder / "model.safetensors").write_bytes(b"weights")
    (home / "made").mkdir()
    (home / "made" / "laptop.safetensors").write_bytes(b"network")
    link_sentence_encoder(home)


def ended(one: Fetching) -> Fetching:
    one.join(60)
    assert not one.job.is_running
    return one


def until(holds: Callable[[], bool]) -> None:
    for _ in range(600):
        if holds():
            return
        time.sleep(0.05)
    raise AssertionError("it did not come to that")


def test_the_bytes_of_each_model_and_of_all_are_told_and_what_is_made_in_words(script: Script) -> None:
    script(
        "tell(stage='fetching', part='BGE-VL-base', done=0, total=400)\n"
        "tell(stage='fetching', part='BGE-VL-base', done=400, total=400)\n"
        "tell(has='fetched BGE-VL-base')\n"
        "tell(stage='fetching', part='Florence-2-base', done=50, total=200)\n"
        "print('no report')\ntell(stage='making', said='step 3')"
    )
    one = Fetching("laptop", llm="none")
    one.start()
    job = ended(one).job
    others = sum(part.size or 0 for part in one.plan() if part.name == "all-MiniLM-L6-v2")
    assert (job.state, job.done, job.whole) == (
        READY,
        {"BGE-VL-base": 400, "Florence-2-base": 50},
        (450, 600 + others),
    )
    assert (job.stage, job.said) == ("making", "step 3")


def test_what_is_cancelled_ends_and_goes_on_when_it_is_asked_for_again(script: Script) -> None:
    script("tell(stage='fetching', part='a', done=1, total=9)\ntime.sleep(60)")
    one = Fetching("laptop")
    one.start()
    until(lambda: one.job.part == "a")
    one.start()  # a second click changes nothing
    assert one.job.part == "a"
    one.cancel()
    assert ended(one).job.state == STOPPED
    script("tell(stage='fetching', part='a', done=9, total=9)")
    one.start()
    assert ended(one).job.state == READY


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            "tell(error='The disk is full.', remedy='Make room.'); sys.exit(2)",
            "^The disk is full. Make room.$",
        ),
        (
            "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
            "signal 9, as happens when the memory is full",
        ),
        ("raise ValueError('odd')", "It said: ValueError: odd"),
        ("sys.exit(3)", "Its exit status is 3"),
    ],
)
def test_however_it_fails_there_is_a_sentence_with_a_way_out(
    lines: str, message: str, script: Script
) -> None:
    script(lines)
    one = Fetching("laptop")
    one.start()
    job = ended(one).job
    assert job.state == FAILED
    with pytest.raises(MissingModel, match=message):
        raise job.problem or AssertionError
    assert job.problem is not None
    assert job.problem.remedy


# --- the command that fetches, with a hub that fails in every way ---------------------------------------------------


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    with hub_server() as served:
        monkeypatch.setenv("HF_ENDPOINT", served.url)
        served.add(CLIP, {"config.json": b"{}", "model.safetensors": bytes(range(256)) * 12_000})
        served.add(FLORENCE, {"config.json": b"{}", "model.safetensors": b"weights" * 9000})
        yield served


@pytest.fixture
def only_fetching(monkeypatch: pytest.MonkeyPatch, home: Path) -> Fetching:
    """The real command, but for making and trying: for sets that are no models."""
    (home / "made").mkdir()
    (home / "made" / "laptop.safetensors").write_bytes(b"network")
    link_sentence_encoder(home)
    command = [sys.executable, "-m", "cir", "models", "pull", "laptop", "--json", "--llm", "none"]
    monkeypatch.setattr(fetching_module, "pull_command", lambda *_: command)
    return Fetching("laptop", llm="none")


def words_of(one: Fetching) -> str:
    """What the card on the page says."""
    sets = ModelSets("embedded", "embedded", one, lambda _: None)
    return model_render.card(screen_of(sets, ModelsSession()))


def test_a_connection_that_is_closed_in_the_middle_is_told_and_nothing_of_it_comes_twice(
    hub: HubServer, only_fetching: Fetching
) -> None:
    hub.breaks = {"model.safetensors": 2_500_000}
    only_fetching.start()
    if ended(only_fetching).job.state == FAILED:  # the hub's client may have asked again by itself
        assert "what came so far is kept" in words_of(only_fetching)
        only_fetching.start()
    assert ended(only_fetching).job.state == READY
    places = [first for name, first in hub.asked if name == "model.safetensors"]
    assert 10**6 < max(places) <= 2_600_000
    assert [name for name, _ in hub.asked].count("config.json") == 2  # one of each model


def test_without_a_network_a_sentence_says_how_a_folder_from_elsewhere_helps(
    hub: HubServer, only_fetching: Fetching
) -> None:
    hub.down = True
    only_fetching.start()
    assert ended(only_fetching).job.state == FAILED
    said = words_of(only_fetching)
    assert "BGE-VL-base could not be fetched" in said
    assert "python app.py --models FOLDER" in said
    hub.down = False
    only_fetching.start()
    assert ended(only_fetching).job.state == READY


def test_bytes_with_another_hash_are_refused_and_the_next_time_the_right_ones_are_taken(
    hub: HubServer, only_fetching: Fetching
) -> None:
    data = hub.files[CLIP, "model.safetensors"]
    hub.lies = {"model.safetensors": data[:-1] + b"?"}
    only_fetching.start()
    assert ended(only_fetching).job.state == FAILED
    assert "SHA-256" in words_of(only_fetching)
    assert not (only_fetching.folder / "BGE-VL-base" / "model.safetensors").exists()
    hub.lies = {}
    only_fetching.start()
    assert ended(only_fetching).job.state == READY
    assert (only_fetching.folder / "BGE-VL-base" / "model.safetensors").read_bytes() == data


def test_a_disk_without_room_is_told_before_anything_is_fetched(
    hub: HubServer, only_fetching: Fetching, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    early = tmp_path / "early"
    early.mkdir()
    (early / "sitecustomize.py").write_text(
        "import collections, shutil\n"
        "usage = collections.namedtuple('usage', 'total used free')\n"
        "shutil.disk_usage = lambda _: usage(10**9, 10**9, 10**3)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(early))
    only_fetching.start()
    assert ended(only_fetching).job.state == FAILED
    said = words_of(only_fetching)
    assert "GB free" in said
    assert "CIR_HOME" in said
    assert hub.asked == []


# --- what the page says and offers -----------------------------------------------------------------------------------


@pytest.fixture
def bench() -> Iterator[Bench]:
    with folder_in_memory() as place:
        paint_folder(place / "photos" / "rome", 4, 10)
        yield Bench(place)


def sets_of(used: str, went: list[str], llm: str = "none") -> ModelSets:
    return ModelSets(used, "embedded", Fetching("laptop", llm=llm), went.append)


def test_before_anything_is_fetched_the_page_says_what_from_where_how_large_and_what_it_takes(
    home: Path,
) -> None:
    sets, session = sets_of("embedded", [], llm=""), ModelsSession()
    screen = screen_of(sets, session)
    assert model_render.get_words(screen) == "Get the photograph models (laptop: 2.0 GB, MIT, Apache-2.0)"
    session.asked = True
    said = model_render.card(screen_of(sets, session))
    for word in (
        "huggingface.co/BAAI/BGE-VL-base",
        "MIT",
        "0.3 GB",
        "1.1 GB",
        str(home),
        "3.7 GB of memory",
        "quarter of an hour",
    ):
        assert word in said, word
    assert sets.fetching.job.state == "idle"
    assert list(home.iterdir()) == []


def test_little_free_memory_is_said_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching_module, "available_bytes", lambda: 10**9)
    said = model_render.consent(screen_of(sets_of("embedded", []), ModelsSession(asked=True)))
    assert "1.0 GB are free now. That is too little" in said


def test_a_set_that_was_fetched_takes_who_watches_along(home: Path, bench: Bench, script: Script) -> None:
    put_here(home)
    script("tell(stage='trying', said='opening')")
    went: list[str] = []
    sets, session = sets_of("embedded", went), ModelsSession()
    fetch(sets, session)
    ended(sets.fetching)
    said = model_render.card(screen_of(sets, session))
    assert "data-go-on" in said
    go_on(sets, bench.indexer, session, "laptop")
    assert (went, session.anew) == (["laptop"], "laptop")
    assert "data-anew" in model_render.card(screen_of(sets, session))


def test_a_set_that_is_here_by_other_means_is_tried_before_the_page_goes_on(
    home: Path, bench: Bench, script: Script
) -> None:
    put_here(home)
    script("tell(error='The CLIP cannot be opened.', remedy='Fetch it again.'); sys.exit(2)")
    went: list[str] = []
    sets, session = sets_of("embedded", went), ModelsSession()
    assert screen_of(sets, session).can_go_on
    go_on(sets, bench.indexer, session, "laptop")
    ended(sets.fetching)
    assert went == []
    assert "The CLIP cannot be opened." in model_render.card(screen_of(sets, session))


def test_the_page_does_not_go_on_with_half_a_set_nor_while_it_indexes(
    home: Path, bench: Bench, script: Script
) -> None:
    went: list[str] = []
    sets, session = sets_of("embedded", went), ModelsSession()
    with pytest.raises(MissingModel, match="not here whole"):
        go_on(sets, bench.indexer, session, "laptop")
    gate = Gate(bench.encoder, "encode_images")
    bench.indexer.start(bench.place / "photos" / "rome", "rome")
    gate.reached()
    with pytest.raises(GalleryError, match="rome is being indexed"):
        go_on(sets_of("laptop", went), bench.indexer, session, "embedded")
    gate.open()
    bench.wait()
    go_on(sets_of("laptop", went), bench.indexer, session, "embedded")
    assert went == ["embedded"]


def test_a_page_of_the_set_offers_the_way_back_and_names_galleries_of_other_models() -> None:
    screen = screen_of(sets_of("laptop", []), ModelsSession(), ["Holiday"])
    assert isinstance(screen, ModelsScreen)
    assert screen.can_go_back
    assert not screen.can_fetch
    assert "kept as they are: Holiday." in model_render.card(screen)


@pytest.mark.parametrize(
    ("captioner", "network", "why"),
    [
        (None, object(), "The captioner is of another kind."),
        (object(), None, "The network was made for another CLIP."),
    ],
)
def test_a_set_of_which_a_model_cannot_be_opened_is_not_gone_on_with(
    captioner: object, network: object, why: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from cir import application

    monkeypatch.setenv("CIR_CACHE", str(tmp_path / "cache"))
    missing = {
        "captioner" if captioner is None else "mapping network lincir": why,
        "language model": "Switched off.",
    }
    models = SimpleNamespace(captioner=captioner, phi=lambda: network, missing=missing)
    with pytest.raises(MissingModel, match=f"^{why}$"):
        application.prepare_first_gallery(models, say=lambda _: None)  # type: ignore[arg-type]
    assert not (tmp_path / "cache").exists()


# --- going on --------------------------------------------------------------------------------------------------------


def test_a_choice_is_kept_for_the_next_start_of_the_page_and_taken_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("cir.commands.going_on.ANSWER_SECONDS", 0)
    assert read_options([]).models == "embedded"
    going_on = GoingOn()
    going_on.with_set("laptop")
    assert (going_on.wanted, read_options([]).models) == ("laptop", "laptop")
    assert read_options(["--models", "desktop"]).models == "desktop"
    going_on.with_set("embedded")
    assert read_options([]).models == "embedded"
    with pytest.raises(BadQuery, match="no model set called"):
        going_on.with_set("nothing")


@pytest.mark.parametrize(
    ("given", "space", "offered"),
    [
        ([], "", True),
        (["--root-path", "/photos"], "", True),
        (["--auth", "me:secret"], "", False),
        (["--listen", "--auth", "me:secret"], "", False),
        (["--allowed-host", "photos.example.org"], "", False),
        ([], "me/space", False),
    ],
)
def test_only_who_sits_at_the_machine_is_offered_a_set(
    given: list[str], space: str, offered: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SPACE_ID", raising=False)
    if space:
        monkeypatch.setenv("SPACE_ID", space)
    options = read_options(given)
    sets = model_sets("embedded", options, read_address(options), GoingOn())
    assert (sets is not None) == offered


def test_the_choice_that_cannot_be_read_is_none(home: Path) -> None:
    choose_set("laptop")
    assert chosen_set() == "laptop"
    (home / "chosen.json").write_text("[1")
    assert chosen_set() == ""


@pytest.mark.parametrize(
    "of_the_set_before",
    [
        [],
        ["--gallery", "holiday", "--phi", "searle"],
        ["--gallery=holiday", "--phi=searle"],
        ["--ph", "searle"],
    ],
)
def test_the_page_begins_anew_without_what_the_command_says_of_the_set_before(
    of_the_set_before: list[str],
) -> None:
    given = [
        "--models",
        "embedded",
        "--port",
        "0",
        *of_the_set_before,
        "--llm",
        "none",
        "--gallery-root",
        "photos",
    ]
    again = again_with(given, "laptop", 7861)
    refuse_empty(again)
    options = read_options(again)
    assert (options.models, options.gallery, options.phi, options.port) == ("laptop", None, None, 7861)
    assert (options.llm, options.browser) == ("none", False)
    assert "photos" in again


def test_a_command_that_is_begun_anew_is_one_that_the_program_takes() -> None:
    program = ["app.py", "--gallery", "sample", "--title", "--phi of mine"]
    assert again_with(program, "embedded", 80) == [
        *("app.py", "--title", "--phi of mine"),
        *("--models", "embedded", "--port", "80", "--no-browser"),
    ]


def test_a_chosen_set_that_is_gone_gives_way_to_the_program_s_own_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from cir import application
    from cir.commands import serving

    built = []

    def build(name: str, **options: object) -> tuple[str, str]:
        built.append((name, options.get("gallery")))
        if name == "laptop":
            raise MissingModel("The CLIP model BGE-VL-base is not here.", "Fetch it.")
        return "models", "retriever"

    monkeypatch.setattr(application, "build", build)
    choose_set("laptop")
    options = read_options(["--gallery", "holiday"])
    assert serving._build(options) == ("models", "retriever")
    assert built == [("laptop", "holiday"), ("embedded", None)]
    assert (options.models, chosen_set()) == ("embedded", "")
    assert "BGE-VL-base is not here" in capsys.readouterr().err
    with pytest.raises(CirError):  # who names a set is told
        serving._build(read_options(["--models", "laptop"]))


def test_a_mistyped_gallery_is_told_and_the_chosen_set_stays_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    from cir import application
    from cir.commands import serving

    def build(name: str, **options: object) -> object:
        raise GalleryError("There is no gallery called holidy.", "Name another.")

    monkeypatch.setattr(application, "build", build)
    choose_set("laptop")
    with pytest.raises(GalleryError, match="holidy"):
        serving._build(read_options(["--gallery", "holidy"]))
    assert chosen_set() == "laptop"


def test_the_command_tells_a_program_how_far_it_is_in_lines_and_why_it_failed(
    hub: HubServer, only_fetching: Fetching, capsys: pytest.CaptureFixture[str]
) -> None:
    import subprocess

    hub.files.pop((FLORENCE, "config.json"))
    hub.files.pop((FLORENCE, "model.safetensors"))
    done = subprocess.run(
        fetching_module.pull_command("laptop", None, None), capture_output=True, text=True, check=False
    )
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 2
    assert {row["part"] for row in rows if row.get("stage") == "fetching"} == {"BGE-VL-base"}
    assert "Florence-2-base could not be fetched" in rows[-1]["error"]


def test_a_models_folder_that_was_brought_from_elsewhere_is_named_in_place_of_a_set(tmp_path: Path) -> None:
    from small_set import clip_folder

    from cir.application import build_models
    from cir.commands.checks import check_arguments
    from cir.models.clip import load_clip

    stick = tmp_path / "stick"
    clip_folder(stick / "BGE-VL-base")
    options = read_options(["--models", str(stick)])
    check_arguments(options)
    models = build_models(options.models, llm="none")
    assert models.name == "laptop"
    assert models.clip.fingerprint == load_clip(stick / "BGE-VL-base").fingerprint
    assert models.captioner is None
    assert "Florence-2-base is not here" in models.missing["captioner"]


def test_who_sets_the_program_up_with_a_network_is_told_once_of_the_better_models(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    came = [["Qwen2.5-Coder-1.5B-Instruct Q4_K_M"], []]
    monkeypatch.setattr("cir.models.catalog.pull", lambda *_, **__: came.pop(0))
    assert main(["models", "pull", "embedded"]) == 0
    assert "(laptop: 2.0 GB, MIT, Apache-2.0) are fetched when you ask for them" in capsys.readouterr().out
    assert main(["models", "pull", "embedded"]) == 0
    assert capsys.readouterr().out == "embedded is here already, with all that it needs\n"
    assert list(home.iterdir()) == []
