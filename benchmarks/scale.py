"""The whole program over a million pictures: `python benchmarks/scale.py --images 1000000`.

A gallery is made up of the sample gallery's features with noise, captions and days, no files; it is searched as any other.
It starts with what indexing keeps of a large gallery; with `--unprepared` without, as the first time after such a gallery was
copied from elsewhere. `--browser` asks in headless Chromium, as a person does: seconds from the click or the key until the answer is
on the screen and the page is at rest.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cir.commands.serving import FIRST_VISIT_SECONDS
from cir.files import WalkedFile
from cir.gallery.cache import open_cache, write_thumbnail
from cir.gallery.gallery import GONE_TILE
from cir.gallery.kept_arrays import FOLDER
from cir.gallery.manifest import Manifest, read_manifest, write_manifest
from cir.gallery.opening import open_gallery
from cir.places import SAMPLE_GALLERY
from cir.ranking.engines import open_engine

ROOT = Path(__file__).resolve().parents[1]
NAME = "scale"
BATCH = 65_536


def make_gallery(cache: Path, images: int) -> None:
    """Write a gallery of that many images below `cache`."""
    models = read_manifest(SAMPLE_GALLERY).models
    sample = open_gallery(SAMPLE_GALLERY, cache_root=cache, image_encoder_fingerprint=models.image_encoder)
    image, captions = np.asarray(sample.image_features), np.asarray(sample.caption_features)
    rng, dim = np.random.default_rng(0), image.shape[1]
    with open_cache(cache / NAME, NAME) as made:
        for start in range(0, images, BATCH):
            numbers = range(start, min(start + BATCH, images))
            like = rng.integers(0, len(image), len(numbers))
            noise = (0.5 / dim**0.5) * rng.standard_normal((2, len(numbers), dim), np.float32)
            hashes = [f"{number:064x}" for number in numbers]
            files = [
                (
                    WalkedFile(
                        f"{2005 + n % 20}/{n // 500:04}/IMG_{2005 + n % 20}{1 + n % 12:02}{1 + n % 28:02}_{n:07}.jpg".encode(),
                        1,
                        1,
                    ),
                    h,
                )
                for n, h in zip(numbers, hashes, strict=True)
            ]
            made.store_images(models.image_key, hashes, (image[like] + noise[0]).astype(np.float32), files)
            texts = {h: sample.captions(sample.image_ids[i])[:2] for h, i in zip(hashes, like, strict=True)}
            made.store_captions(models, texts, hashes, (captions[like] + 0.8 * noise[1]).astype(np.float32))
    write_thumbnail(cache / NAME, GONE_TILE, sample.thumbnail_path(sample.image_ids[0]).read_bytes())
    write_manifest(cache / NAME, Manifest(NAME, "/nowhere", models, images, images, dim))


def prepare(cache: Path) -> None:
    """What indexing does at its end."""
    models = read_manifest(cache / NAME).models
    opened = open_gallery(NAME, cache_root=cache, image_encoder_fingerprint=models.image_encoder)
    open_engine(opened).prepare()


def free_port() -> int:
    """One that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextmanager
def program(cache: Path) -> Iterator[tuple[int, int, dict[str, object]]]:
    """The program over the gallery, from its command until it is served: its port, its number, and how long that took."""
    port, began = free_port(), time.perf_counter()
    command = [sys.executable, ROOT / "app.py", "--llm", "none", "--gallery", NAME, "--port", str(port)]
    settings = {**os.environ, "CIR_CACHE": str(cache), "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
    with subprocess.Popen(command, env=settings, stdout=subprocess.DEVNULL, stderr=sys.stderr) as process:
        try:
            while not answers(port):
                time.sleep(0.1)
            served = round(time.perf_counter() - began, 2)
            yield (
                port,
                process.pid,
                {"page_served_s": served, "page_served_cpu_s": cpu_seconds(process.pid)},
            )
        finally:
            process.terminate()


def measure(cache: Path) -> dict[str, object]:
    """Start the program over the gallery, ask it as programs ask it, and say how many seconds each answer took."""
    from gradio_client import Client

    with program(cache) as (port, pid, found):
        time.sleep(FIRST_VISIT_SECONDS)  # so long the models wait for a first visitor
        found["models_there_s"] = at_rest(pid) + FIRST_VISIT_SECONDS
        client = Client(f"http://127.0.0.1:{port}", verbose=False)

        def ask(what: str, call: str, **given: object) -> dict:
            since = time.perf_counter()
            answer = client.predict(api_name=call, **given)
            found[f"{what}_s"] = round(time.perf_counter() - since, 2)
            return answer

        ask("first_search", "/search", text="a red circle beside a blue square")
        seen = ask("next_search", "/search", text="two green stars on the left")["results"][0]["image_id"]
        ask("search_with_a_picture", "/search", reference_id=seen, text="make it blue")
        ask("slider", "/rank", alpha=0.2, beta=0.6, gamma=0.4)
        ask("folder", "/rank", folder="2006")
        ask("days_for_the_first_time", "/rank", folder="", since="2010", until="2012-05")
        ask("days", "/rank", folder="", since="2011", until="2012-05")
        best = ask("least_score", "/rank", since="", until="", at_least=0.3)["results"][0]["image_id"]
        ask("explain", "/explain", image_id=best)
        return found | memory_of(pid)


def measure_in_a_browser(cache: Path) -> dict[str, object]:
    """The same as a person sees it: browsing, finding by words, searching, filters, history, Compare and its map."""
    from playwright.sync_api import sync_playwright

    with program(cache) as (port, pid, found), sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(60_000)

        def do(
            what: str, act: Callable[[], object], seen: str, *, changed: str = "", rest: bool = True
        ) -> None:
            """Act, then wait until `seen` is true in the page and what `changed` says is another, painted and at rest."""
            sys.stderr.write(f"{what} ...\n")
            before = page.evaluate(f"() => {changed or 0}")
            since = time.perf_counter()
            act()
            page.wait_for_function(
                f"before => ({seen}) && {changed or 1} !== before && ({'recompose.idle()' if rest else 'true'})",
                arg=before,
            )
            page.evaluate("() => new Promise(requestAnimationFrame)")
            found[f"{what}_s"] = round(time.perf_counter() - since, 2)

        def unfold(elem_id: str, inside: str) -> None:
            if not page.locator(inside).is_visible():
                page.click(f"#{elem_id} > button")

        def slide(elem_id: str, value: float) -> None:
            page.locator(f"#{elem_id} input[type=range]").evaluate(
                "(box, value) => { box.value = value; box.dispatchEvent(new Event('input', {bubbles: true})); }",
                value,
            )

        def compare(what: str, start: Callable[[], object]) -> None:
            told = "document.querySelectorAll('#compare-columns .compared-head .timings').length > 1"
            do(what, start, f"{told} && !document.querySelector('#compare-stage .busy')")

        shown = "document.querySelector('#results')?.innerHTML"
        ready = "document.querySelector('#results img')?.complete && document.querySelector('#stage .timings span')"
        grid, browsed = (
            "document.querySelector('#browse-grid img')?.complete",
            "document.querySelector('#browse-grid').innerHTML",
        )
        do("page_opened", lambda: page.goto(f"http://127.0.0.1:{port}/"), f"window.recompose && {grid}")
        found["models_there_s"] = at_rest(pid)
        do("browse_other_pictures", lambda: page.click("#next"), grid, changed=browsed)
        page.fill("#edit textarea", "two green stars on the left")
        first = "document.querySelector('#results img')?.complete"
        do(
            "first_results_of_the_first_search",
            lambda: page.keyboard.press("Enter"),
            f"{first} || {ready}",
            rest=False,
        )
        do("its_last_stage", lambda: None, ready)
        page.fill("#edit textarea", "a red circle beside a blue square")
        do("next_search", lambda: page.keyboard.press("Enter"), ready, changed=shown)
        do("more_results", lambda: page.click("#results [data-do=more]"), ready, changed=shown)
        do(
            "closer_look",
            lambda: page.locator("#results .picture").first.click(),
            "document.querySelector('#inspector .why')",
        )
        page.keyboard.press("Escape")
        unfold("weights", "#alpha")
        do("slider", lambda: slide("beta", 0.1), ready, changed=shown)
        unfold("keep", "#at-least")
        do("hide_scores_below", lambda: slide("at-least", 0.99), "true", changed=shown)
        do("show_all_scores", lambda: slide("at-least", 0), ready, changed=shown)
        # Of these made up pictures none may be near-identical, so that nothing changes: whether it is at rest is all that is seen.
        do("unfold_near_identical", lambda: (page.click("#fold input"), page.wait_for_timeout(50)), ready)
        unfold("only-in", "#only-since")
        page.fill("#only-since textarea, #only-since input", "2011")
        do("only_since", lambda: page.keyboard.press("Enter"), ready, changed=shown)
        do("history_back", lambda: page.go_back(), ready, changed=shown)
        page.click("button[role=tab]:has-text('Compare')")
        page.wait_for_selector("#compare-start")
        compare("compare", lambda: page.click("#compare-start"))
        do(
            "compare_judged_with_its_map",
            lambda: page.locator("#compared-1 .picture").first.click(),
            "document.querySelector('#compare-judged .map svg')",
        )
        return found | memory_of(pid)


def answers(port: int) -> bool:
    """Whether the page is there."""
    try:
        with urlopen(f"http://127.0.0.1:{port}/", timeout=60) as page:
            return page.status == 200
    except OSError:
        return False


def cpu_seconds(pid: int) -> float:
    """What a process has had of the processors, all its threads together: others on the machine do not count."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return round((int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), 2)


def at_rest(pid: int) -> float:
    """Wait until a program has loaded its models, which takes as long over any gallery; seconds, from its being served."""
    since, before = time.perf_counter(), -1.0
    while (now := cpu_seconds(pid)) > before + 0.1:
        before = now
        time.sleep(2.0)
    return round(time.perf_counter() - since, 2)


def memory_of(pid: int) -> dict[str, float]:
    """GB that a process holds now and held at most."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    lines = dict(line.split(":", 1) for line in status.splitlines())
    return {
        name: round(int(lines[key].split()[0]) / 1e6, 2)
        for name, key in (("rss_gb", "VmRSS"), ("most_gb", "VmHWM"))
    }


def main() -> None:
    """Print one JSON object: seconds of each answer, and the memory."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--images", type=int, default=1_000_000)
    options.add_argument(
        "--cache", type=Path, help="where the gallery is made, and stays; a temporary folder by default"
    )
    options.add_argument(
        "--unprepared", action="store_true", help="nothing is kept yet: it is made at the start"
    )
    options.add_argument("--browser", action="store_true", help="as a person sees it, in headless Chromium")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="scale-") as temporary:
        cache = chosen.cache or Path(temporary)
        if not (cache / NAME).exists():
            make_gallery(cache, chosen.images)
        if chosen.unprepared:
            shutil.rmtree(cache / NAME / FOLDER, ignore_errors=True)
        else:
            prepare(cache)
        found = {
            "images": read_manifest(cache / NAME).images,
            "prepared": not chosen.unprepared,
            "load": round(os.getloadavg()[0], 1),
            **(measure_in_a_browser if chosen.browser else measure)(cache),
        }
        sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
