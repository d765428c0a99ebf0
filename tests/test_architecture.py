"""The tree keeps its promises: who may import what, and what no code may contain."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CORE = sorted((ROOT / "cir").rglob("*.py"))
MODEL_LIBRARIES = {"torch", "open_clip", "transformers", "llama_cpp", "timm", "torchvision", "accelerate"}
# Part -> parts of cir that it may import. Everything may import itself, types, errors, text, environment, places, processors, whole_files, cache_keys and questions.
BASE = {
    "types",
    "errors",
    "text",
    "durations",
    "environment",
    "places",
    "processors",
    "whole_files",
    "cache_keys",
    "questions",
    "interrupts",
}
ALLOWED = {
    "files": set(),
    "surroundings": {"files"},
    "formats": set(),
    "exclusions": set(),
    "walking": {"files", "formats", "exclusions"},
    "dates": set(),
    "days": set(),
    "memory": set(),
    "profiles": set(),
    "salvage": set(),
    "boxes": set(),
    "tiff_tags": set(),
    "lost_ends": {"boxes", "salvage", "tiff_tags"},
    "pixels": {"profiles"},
    "raw": {"formats"},
    "decoding": {"boxes", "memory", "pixels", "profiles", "salvage"},
    "mending": {"decoding", "formats", "lost_ends", "salvage", "tiff_tags"},
    "images": {
        "dates",
        "decoding",
        "files",
        "formats",
        "lost_ends",
        "mending",
        "pixels",
        "profiles",
        "raw",
        "salvage",
        "walking",
    },
    "picture_memory": {"models.protocols"},
    "prompts": set(),
    "replies": set(),
    "tuned_weights": {"composers"},
    "world": set(),
    "models": {"prompts", "replies", "files", "pixels", "images", "memory", "picture_memory"},
    "gallery": {
        "dates",
        "days",
        "files",
        "formats",
        "exclusions",
        "walking",
        "pixels",
        "images",
        "memory",
        "models.protocols",
        "surroundings",
    },
    "composers": {
        "prompts",
        "replies",
        "models.protocols",
        "picture_memory",
        "ranking.engines.protocol",
        "ranking.scoring",
        "world.vocabulary",
    },
    "languages": set(),
    "phrasebook": {"cache_keys", "models.protocols", "world.reading", "world.vocabulary"},
    "rewording": {
        "phrasebook",
        "prompts",
        "replies",
        "models.protocols",
        "world.reading",
        "world.vocabulary",
    },
    "translating": {
        "languages",
        "phrasebook",
        "composers",
        "rewording",
        "prompts",
        "replies",
        "models.protocols",
    },
    "answers": {"composers", "ranking", "translating"},
    "ranking": {"gallery", "composers", "images", "models.protocols", "translating"},
    "charts": set(),
    "evaluation": {
        "charts",
        "ranking",
        "gallery",
        "composers",
        "world",
        "models.protocols",
        "files",
        "images",
    },
    "shelf": {"ranking", "gallery", "composers", "files", "models.protocols"},
    "syncir": {"gallery", "ranking.engines", "files", "images", "prompts", "replies", "models.protocols"},
    "ui": {
        "answers",
        "ranking",
        "translating",
        "charts",
        "shelf",
        "gallery",
        "composers",
        "images",
        "files",
        "formats",
        "exclusions",
        "pixels",
        "models.protocols",
        "models.fetching",
        "syncir",
        "evaluation.papers",
        "evaluation.results_file",
        "surroundings",
    },
    "training": {
        "world",
        "models",
        "files",
        "prompts",
        "gallery",
        "syncir.records",
        "syncir.exchange",
        "syncir.picture_names",
    },
}


def imports_of(path: Path) -> set[str]:
    """Full names of the modules that a file imports anywhere."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


@pytest.mark.parametrize("path", CORE, ids=lambda p: str(p.relative_to(ROOT)))
def test_only_the_right_parts_know_gradio_and_the_model_libraries(path: Path) -> None:
    part = path.relative_to(ROOT / "cir").parts[0]
    roots = {name.split(".")[0] for name in imports_of(path)}
    if part != "ui":
        assert "gradio" not in roots
    if part not in {"models", "training"}:
        assert not roots & MODEL_LIBRARIES


@pytest.mark.parametrize("path", CORE, ids=lambda p: str(p.relative_to(ROOT)))
def test_nobody_imports_from_below_itself(path: Path) -> None:
    part = path.relative_to(ROOT / "cir").parts[0].removesuffix(".py")
    if part not in ALLOWED:  # __init__, __main__, commands, application: the places where things are joined
        assert part in {
            "__init__",
            "__main__",
            "commands",
            "measuring",
            "application",
            "scripting",
            *BASE,
        }
        return
    allowed = ALLOWED[part] | BASE | {part}
    for name in imports_of(path):
        if not name.startswith("cir."):
            continue
        below = name.removeprefix("cir.")
        assert any(below == a or below.startswith(a + ".") for a in allowed), f"{path.name} imports {name}"


def imports_when_loaded(path: Path) -> set[str]:
    """The modules of cir that a file imports as it is loaded, or for its types alone; not those within functions."""
    names = {".".join(p.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): p for p in CORE}
    found: set[str] = set()
    pending: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                found.add(full if full in names else node.module)
        elif isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            pending.extend(ast.iter_child_nodes(node))
    return {name for name in found if name in names}


def circle_in(imports: dict[str, set[str]]) -> list[str]:
    """Modules that import one another in a circle, the first one again at the end; [] where there is none."""
    done: set[str] = set()

    def follow(name: str, way: list[str]) -> list[str]:
        if name in way:
            return [*way[way.index(name) :], name]
        if name in done:
            return []
        for other in sorted(imports.get(name, ())):
            if found := follow(other, [*way, name]):
                return found
        done.add(name)
        return []

    return next((found for name in sorted(imports) if (found := follow(name, []))), [])


def test_no_modules_import_one_another_in_a_circle_not_even_for_their_types() -> None:
    imports = {}
    for path in CORE:
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        imports[name] = imports_when_loaded(path) - {name}
    assert circle_in(imports) == []
    assert circle_in({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]


def test_the_module_that_joins_the_page_is_imported_by_none_of_the_page() -> None:
    assert [str(p) for p in CORE if "ui" in p.parts and "cir.ui.view" in imports_of(p)] == []


PRIVATE_OF_GRADIO = {
    "api_info", "app", "blocks", "config", "cookie_id", "event_analytics", "fns", "get_api_info", "get_config_file",
    "has_launched", "local_url", "max_threads", "mcp_error", "mcp_server_obj", "server_app", "state_holder",
    "state_session_capacity", "stop_event", "tokens", "tool_to_endpoint", "validate_inputs",
}  # fmt: skip
OWN = {"self", "cls"}


def private_to_gradio(source: str) -> list[str]:
    """Where a source names what gradio does not promise: its modules, what begins with an underscore, `page.blocks`."""
    found, tree = [], ast.parse(source)
    own = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node).startswith("getattr(") and len(node.args) > 1:
            name = node.args[1]
            if isinstance(name, ast.Constant) and str(name.value).startswith("_"):
                found.append(ast.unparse(node))
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "gradio":
            found.append(f"from {node.module}")
        if isinstance(node, ast.Import):
            found += [a.name for a in node.names if a.name.startswith(("gradio.", "gradio_client"))]
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("gradio_client"):
            found.append(f"from {node.module}")
        if not isinstance(node, ast.Attribute):
            continue
        whose = node.value.id if isinstance(node.value, ast.Name) else ""
        underscored = node.attr.startswith("_") and not node.attr.startswith("__") and whose not in OWN
        if (underscored and node.attr not in own) or (node.attr in PRIVATE_OF_GRADIO and whose not in OWN):
            found.append(ast.unparse(node))
    return found


@pytest.mark.parametrize(
    "path", [p for p in CORE if "ui" in p.parts], ids=lambda p: str(p.relative_to(ROOT / "cir"))
)
def test_what_gradio_does_not_promise_is_named_in_one_module(path: Path) -> None:
    if path.name != "gradio_private.py":
        assert private_to_gradio(path.read_text(encoding="utf-8")) == []


def test_what_gradio_does_not_promise_is_seen_in_every_form() -> None:
    assert private_to_gradio("from gradio import utils") == ["from gradio"]
    assert private_to_gradio("from gradio_client.utils import a") == ["from gradio_client.utils"]
    assert private_to_gradio("import gradio.routes as r") == ["gradio.routes"]
    assert private_to_gradio("import gradio as gr; gr.HTML(event._data, self._own)") == ["event._data"]
    assert private_to_gradio("getattr(event, '_data', None)") == ["getattr(event, '_data', None)"]
    assert private_to_gradio("page.blocks[3]") == ["page.blocks"]
    assert private_to_gradio("class A:\n def _b(self): ...\n def c(self, other): other._b()") == []


ARRAYS = {"image_features", "caption_features"}
ENGINES_OWN = {
    "gallery",
    "gallery/served",
    "ranking/engines",
}  # where features are stored and made, and who answers for them


def arrays_read(source: str) -> list[str]:
    """Where a source reads the arrays of a gallery: `anything.image_features`, or `gallery.captioned`, `gallery.norms`."""
    return [
        ast.unparse(node)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute)
        and (
            node.attr in ARRAYS
            or (node.attr in {"captioned", "norms"} and ast.unparse(node.value).endswith("gallery"))
        )
    ] + [
        ast.unparse(node)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Constant) and node.value in ARRAYS  # getattr(gallery, "image_features")
    ]


@pytest.mark.parametrize("path", CORE, ids=lambda p: str(p.relative_to(ROOT)))
def test_nobody_but_an_engine_reads_the_arrays_of_a_gallery(path: Path) -> None:
    place = path.relative_to(ROOT / "cir")
    if place.parent.as_posix() not in ENGINES_OWN:
        assert arrays_read(path.read_text(encoding="utf-8")) == []


def test_reading_the_arrays_of_a_gallery_is_seen_in_every_form() -> None:
    assert arrays_read("retriever.gallery.image_features[3]") == ["retriever.gallery.image_features"]
    assert arrays_read("g.caption_features") == ["g.caption_features"]
    assert arrays_read("self.gallery.captioned.sum()") == ["self.gallery.captioned"]
    assert arrays_read("getattr(gallery, 'image_features')") == ["'image_features'"]
    assert arrays_read("entry.captioned") == []


def test_importing_cir_loads_no_heavy_library() -> None:
    heavy = sorted(MODEL_LIBRARIES | {"gradio", "faiss"})
    code = f"import sys, cir; print([m for m in {heavy!r} if m in sys.modules])"
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "[]"


FORBIDDEN = re.compile(
    r"pickle\.loads?\(|torch\.load\((?![^)]*weights_only=True)|trust_remote_code=True|shell=True|"
    r"allow_dangerous_deserialization|np\.load\([^)]*allow_pickle=True"
)


@pytest.mark.parametrize("path", [*CORE, ROOT / "app.py"], ids=lambda p: str(p.relative_to(ROOT)))
def test_no_unsafe_loading_and_no_shell(path: Path) -> None:
    assert not FORBIDDEN.search(path.read_text(encoding="utf-8"))
    if path.name not in {"images.py", "decoding.py", "mending.py", "pixels.py"}:
        calls = [
            node.func.attr
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "open"
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id == "Image"
        ]
        if path.parts[-2] != "world":  # the world opens its own atlas
            assert calls == [], "pictures are opened in one place"


_PLURALS = re.compile(
    r" (?:[a-z]+ )?(?:pictures|images|files|queries|pairs|triplets|methods|words|pseudo-words|tokens|scenes|steps|"
    r"folders|galleries|terms|captions|rows|groups|settings|places|cores)\b"
)


@pytest.mark.parametrize("path", CORE, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_sentence_sets_a_number_before_a_plural_noun_without_asking_how_many(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.JoinedStr):
            continue
        for number, words in pairwise(node.values):
            if isinstance(number, ast.FormattedValue) and isinstance(words, ast.Constant):
                fixed = ast.unparse(number.value).isupper()  # a constant is never 1
                assert fixed or not _PLURALS.match(words.value), f"use counted(): {ast.unparse(node)}"
