"""Explanations as pages in a real browser: axe finds nothing, they fit a narrow screen, the keyboard reaches all."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.explain.networks import Network

pytestmark = pytest.mark.browser

ASKED = [
    ("lenet5", "d conv1.weight[2,0,1,1]", "en"),
    ("lenet5", "conv2[3,4,5]", "fa"),
    ("lenet5", "d act1[0,4,6]", "ko"),
    ("dilated", "pool1[0,0,0]", "tr"),
    ("lenet5", "loss", "en"),
]
SCREENS = [("light", 320), ("dark", 320), ("light", 1000), ("dark", 1000)]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="`make test-web` installs playwright")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    with playwright.sync_playwright() as driver:
        try:  # without a path: Playwright's own copy
            found = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        except playwright.Error as error:
            pytest.skip(f"no chromium here (Debian, Ubuntu: apt install chromium): {error}")
        yield found
        found.close()


@pytest.fixture(params=ASKED, ids=lambda asked: f"{asked[1]} {asked[2]}")
def page_file(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, str]:
    network, what, lang = request.param
    file = tmp_path / "page.html"
    file.write_text(Network(network).explain(what, proof=True, depth=1, lang=lang).html(), encoding="utf-8")
    return file, lang


def opened(browser: Any, file: Path, scheme: str, width: int) -> tuple[Any, list[str]]:
    """The page, and what it fetched from elsewhere."""
    page = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 900}).new_page()
    fetched: list[str] = []
    page.on("request", lambda r: None if r.url.startswith(("file:", "data:")) else fetched.append(r.url))
    page.goto(file.as_uri())
    return page, fetched


@pytest.mark.parametrize(("scheme", "width"), SCREENS)
def test_axe_finds_nothing(browser: Any, page_file: tuple[Path, str], scheme: str, width: int) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="`make test-web` installs axe")
    page, fetched = opened(browser, page_file[0], scheme, width)
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    violations = axe.Axe().run(page).response["violations"]
    assert [(v["id"], v["nodes"][0]["html"]) for v in violations] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert fetched == []


def test_the_page_says_its_language_and_direction(browser: Any, page_file: tuple[Path, str]) -> None:
    page, _ = opened(browser, page_file[0], "light", 320)
    root = page.locator("html")
    assert root.get_attribute("lang") == page_file[1]
    assert root.get_attribute("dir") == ("rtl" if page_file[1] == "fa" else "ltr")
    directions = page.eval_on_selector_all("math", "all => all.map(m => getComputedStyle(m).direction)")
    assert set(directions) == {"ltr"}


def test_the_keyboard_opens_and_closes_every_part(browser: Any, page_file: tuple[Path, str]) -> None:
    page, _ = opened(browser, page_file[0], "light", 320)
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    count = page.locator("summary").count()
    reached: set[int] = set()
    for _ in range(400):
        page.keyboard.press("Tab")
        place = page.evaluate("[...document.querySelectorAll('summary')].indexOf(document.activeElement)")
        if place in reached:
            break
        if place >= 0:
            reached.add(place)
            page.keyboard.press("Enter")
            assert not page.evaluate("document.activeElement.parentElement.open")
            page.keyboard.press("Enter")
            assert page.evaluate("document.activeElement.parentElement.open")
    assert len(reached) == count
