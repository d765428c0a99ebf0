"""The pictures of README.md, taken of a running page in headless Chromium.

    python app.py &
    python scripts/take_pictures.py http://127.0.0.1:7860/

A search whose language model gave no answer in time is made again, a few times.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

PICTURES = Path(__file__).resolve().parents[1] / "assets" / "pictures"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
# name -> width, height, colour scheme, which example is searched for.
SHOTS = {
    "desktop": (1280, 900, "light", 3),
    "dark": (1280, 900, "dark", 0),
    "phone": (390, 844, "light", 1),
}
TRIES = 8
DONE = "document.querySelector('#stage .timings') && !document.querySelector('#stage .busy')"
LOADED = "[...document.querySelectorAll('#results img')].slice(0, 10).every((one) => one.complete)"


def search(page: Page, example: int) -> None:
    """Search for an example until every model has answered.

    Raises:
        SystemExit: the language model never did.
    """
    page.locator("#examples .example").nth(example).click()
    for _ in range(TRIES):
        page.wait_for_function(DONE)
        page.wait_for_function(LOADED)
        if "did not answer" not in page.inner_text("#notes"):
            return
        page.evaluate("document.querySelector('#search').click()")
        page.wait_for_selector("#stage .busy")
    raise SystemExit("The language model gave no answer in time; try again when the machine is quiet.")


def main() -> None:
    """Take all pictures of the page whose address was given."""
    address = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:7860/"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        for name, (width, height, scheme, example) in SHOTS.items():
            context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
            page = context.new_page()
            page.set_default_timeout(180_000)
            page.goto(address)
            page.wait_for_selector("#browse-grid img")
            page.wait_for_function("window.recompose?.bridge && recompose.idle()")
            search(page, example)
            if width > 800:
                page.evaluate("scrollTo(0, 0)")
            page.wait_for_timeout(1500)
            page.screenshot(path=PICTURES / f"{name}.png")
            context.close()
        browser.close()


if __name__ == "__main__":
    main()
