"""The documentation is whole, and a browser shows it: figures, formulas, search, references; wide, narrow and dark."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from tests.site.conftest import EXAMPLE

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

PAGES = (
    "index.html",
    "start.html",
    "guide/derivatives.html",
    "catalogue/derivatives.html",
    "api/generated/torchlops.FirstDerivative.html",
    f"gallery/{EXAMPLE}.html",
    "benchmarks.html",
    "coming_from_pylops.html",
)


class Links(HTMLParser):
    """The links, and what may be linked to, of a page."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.anchors: set[str] = set()
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the links and names of a tag."""
        given = dict(attrs)
        self.links.update(link for name in ("href", "src") if (link := given.get(name)))
        self.anchors.update(name for key in ("id", "name") if (name := given.get(key)))


def test_every_link_within_the_site_leads_somewhere(site: Path) -> None:
    pages = {path: Links(path) for path in site.rglob("*.html") if "_static" not in path.parts}
    assert len(pages) > 300
    broken = set()
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            place = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            place = place / "index.html" if place.is_dir() else place
            anchor = unquote(parts.fragment)
            if not place.exists() or (anchor and place in pages and anchor not in pages[place].anchors):
                broken.add(f"{path.relative_to(site)}: {link}")
    assert not sorted(broken)


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    """Scripts, styles and pictures come with the site, so that it can be read without a network."""
    for name in PAGES:
        text = (site / name).read_text(encoding="utf-8")
        for mark in ('src="http', 'rel="stylesheet" type="text/css" href="http', "cdn."):
            assert mark not in text, (name, mark)


def test_the_reference_has_no_torn_and_no_empty_fields(site: Path) -> None:
    """Napoleon takes what an attribute's first line has before a colon as a type."""
    for path in (site / "api").rglob("*.html"):
        text = re.sub(r"<[^>]*>", "", path.read_text(encoding="utf-8"))
        assert not re.search(r"^(Type:|Bases:\s*)$", text, re.MULTILINE), path


@pytest.fixture
def opened(browser: Any, address: str) -> Callable[..., Any]:
    """Open a page, and return the browser when it is drawn; errors of the console fail."""

    def open_page(name: str, width: int = 1300) -> Any:
        browser.set_window_size(width, 1000)
        browser.get_log("browser")
        browser.get(f"{address}/{name}")
        _wait(browser, "return document.readyState === 'complete' && (!window.MathJax || !!MathJax.startup.promise)")
        errors = [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
        assert not errors, (name, errors)
        return browser

    return open_page


def _wait(browser: Any, condition: str) -> Any:
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(browser, 30).until(lambda driver: driver.execute_script(condition))


@pytest.mark.parametrize("name", PAGES)
def test_pages_are_drawn_without_an_error(opened: Callable[..., Any], name: str) -> None:
    browser = opened(name)
    assert browser.title
    for picture in browser.find_elements("css selector", "article img"):
        browser.execute_script("arguments[0].loading = 'eager'; arguments[0].scrollIntoView()", picture)
        source = picture.get_attribute("src")
        _wait(browser, f"return [...document.images].filter(i => i.src === {source!r}).every(i => i.naturalWidth > 0)")


@pytest.mark.parametrize("name", PAGES)
def test_pages_fit_a_narrow_screen(opened: Callable[..., Any], name: str) -> None:
    browser = opened(name, width=500)
    excess = browser.execute_script("return document.documentElement.scrollWidth - window.innerWidth")
    assert excess <= 0


def test_the_start_page_leads_to_everything(opened: Callable[..., Any]) -> None:
    browser = opened("index.html")
    text = browser.find_element("css selector", "article").text
    for word in ("Start", "Guide", "Catalogue", "Gallery", "API", "PyLops"):
        assert word in text, word
    assert browser.find_elements("css selector", "article pre")


def test_formulas_are_drawn(opened: Callable[..., Any]) -> None:
    browser = opened("api/generated/torchlops.FirstDerivative.html")
    _wait(browser, "return document.querySelectorAll('mjx-container').length > 3")
    assert not browser.find_elements("css selector", "mjx-merror")
    browser = opened("explained/implicit.html")
    _wait(browser, "return document.querySelectorAll('mjx-container').length > 10")
    assert not browser.find_elements("css selector", "mjx-merror")


def test_the_search_finds_operators(opened: Callable[..., Any]) -> None:
    browser = opened("search.html?q=FirstDerivative")
    _wait(browser, "return document.querySelectorAll('ul.search li a').length > 2")
    links = [link.get_attribute("href") for link in browser.find_elements("css selector", "ul.search li a")]
    assert any("torchlops.FirstDerivative" in link for link in links)


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("gradient", "api/generated/torchlops.Gradient.html"),
        ("FFT", "api/generated/torchlops.signalprocessing.FFT.html"),
        ("solver", "guide/solvers.html"),
        ("install", "start.html"),
    ],
)
def test_the_search_has_what_users_look_for_first(opened: Callable[..., Any], query: str, first: str) -> None:
    browser = opened(f"search.html?q={query}")
    _wait(browser, "return document.querySelector('p.search-summary')?.textContent.includes('finished')")
    links = [link.get_attribute("href") for link in browser.find_elements("css selector", "ul.search > li > a")]
    places = [urlsplit(link).path.lstrip("/") for link in links]
    assert places[0] == first
    assert "measurements/results.html" not in places[:10]
    assert not any("utils.backend" in place for place in places[:10])


def test_the_gallery_shows_figures_numbers_and_downloads(opened: Callable[..., Any]) -> None:
    browser = opened(f"gallery/{EXAMPLE}.html")
    assert browser.find_elements("css selector", "article img.sphx-glr-single-img, article img.sphx-glr-multi-img")
    assert browser.find_element("css selector", "div.sphx-glr-script-out").text.strip()
    assert browser.find_elements("css selector", "div.sphx-glr-download-jupyter a")
    browser = opened("gallery/index.html")
    assert len(browser.find_elements("css selector", "div.sphx-glr-thumbcontainer")) > 20


def test_the_reference_has_signatures_that_lead_on(opened: Callable[..., Any]) -> None:
    browser = opened("api/generated/torchlops.cgls.html")
    signature = browser.find_element("css selector", "dt.sig")
    assert "niter" in signature.text
    browser = opened("api/generated/torchlops.FirstDerivative.html")
    assert browser.find_elements("css selector", "a.reference.internal[href*='LinearOperator']")


def test_it_has_a_dark_theme(opened: Callable[..., Any]) -> None:
    browser = opened("index.html")
    browser.execute_script("localStorage.setItem('mode', 'dark')")
    browser = opened("index.html")
    assert browser.execute_script("return document.documentElement.dataset.theme") == "dark"
    color = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert max(int(part) for part in color.strip("rgba()").split(",")[:3]) < 80
    browser.execute_script("localStorage.removeItem('mode')")
