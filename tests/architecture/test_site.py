"""The site of the documentation: it builds without a warning, and no page asks another host for anything."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml

import slackwater
from pipelines._closure import ROOT
from tests.browser import Browser, require_browser

LOADING = {"link": "href", "use": "href", "object": "data"}  # beside `src` and `srcset`; an `a` loads nothing


def build(source: Path, site: Path) -> subprocess.CompletedProcess[str]:
    """Build the site as `make docs` does."""
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--config-file", str(source), "--site-dir", str(site)],
        capture_output=True, text=True, check=False, cwd=ROOT, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
    )  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("site")
    done = build(ROOT / "mkdocs.yml", place)
    assert done.returncode == 0, done.stderr[-4000:]
    return place


class Loaded(HTMLParser):
    """What a browser fetches for a page before anybody clicks."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        for name in {"src", "srcset", "poster", LOADING.get(tag, "src")}:
            if given.get(name) and given.get("rel") != "canonical":
                self.found.append(str(given[name]))
        self.found += re.findall(r"url\(([^)]*)\)", given.get("style") or "")


def foreign(text: str) -> bool:
    return re.match(r"['\"]?(?:[a-z]+:)?//", text.strip()) is not None


def test_no_page_loads_anything_from_another_host(site: Path) -> None:
    """A font, a badge or a script of another host would tell it who reads what, and fail without a network."""
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 60
    for page in pages:
        parser = Loaded()
        parser.feed(page.read_text(encoding="utf-8"))
        assert len(parser.found) > 3, page
        assert [each for each in parser.found if foreign(each)] == [], page
    for sheet in site.rglob("*.css"):
        text = sheet.read_text(encoding="utf-8")
        assert [url for url in re.findall(r"(?:url\(|@import )([^);]*)", text) if foreign(url)] == [], sheet


def test_what_loads_from_another_host_is_seen() -> None:
    parser = Loaded()
    parser.feed('<link rel="stylesheet" href="https://a.example/b.css"><a href="https://c.example">c</a><img src=d>')
    assert [foreign(each) for each in parser.found] == [True, False]


def test_the_search_works_from_the_disk_and_asks_nobody(site: Path, tmp_path: Path) -> None:
    """From the disk a browser starts no worker: without the shim beside the pages, the search stays empty."""
    require_browser()
    with Browser(tmp_path) as browser:
        browser.send("Page.navigate", url=(site / "index.html").as_uri())
        browser.wait("document.readyState === 'complete' && document.querySelector('.md-search__input')")
        browser.ask("document.querySelector('.md-search__input').focus()")
        browser.wait("typeof __index === 'object' && document.querySelector('iframe')")
        for letter in "cascade":
            browser.key(letter)
        browser.wait("document.querySelectorAll('.md-search-result__item').length > 2")
        assert [url for url in browser.requests if not url.startswith(("file:", "data:", "blob:", "about:"))] == []
        assert browser.console == []


def test_every_file_of_a_decision_is_a_page_of_the_navigation(site: Path) -> None:
    text = (site / "index.html").read_text(encoding="utf-8")
    decisions = sorted((ROOT / "docs" / "decisions").glob("0*.md"))
    assert len(decisions) > 20
    assert all(f"{path.stem}.html" in text for path in decisions)


def test_every_public_name_has_its_reference(site: Path) -> None:
    """Whoever finds a name in the package looks it up once, on one page."""
    pages = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "docs" / "reference").glob("*.md"))
    named = re.findall(r"^::: slackwater\.(\w+)$", pages, flags=re.MULTILINE)
    errors = {name for name, home in slackwater._HOMES.items() if home == "slackwater.errors"}
    assert sorted(named) == sorted({*slackwater.__all__, "errors"} - errors)
    shown = (site / "reference" / "errors.html").read_text(encoding="utf-8")
    assert all(f'id="slackwater.errors.{name}"' in shown for name in errors)


def test_every_option_of_the_command_line_is_on_the_site(site: Path) -> None:
    shown = (site / "commands.html").read_text(encoding="utf-8")
    expected = ("slackwater venue serve", "--decision-lag", "--tracking-uri", "status 1 if one breaks it")
    assert [text for text in expected if text not in shown] == []


@pytest.mark.parametrize(
    ("text", "complaints"),
    [
        (
            "[a](no_such_page.md) [b](method.md#no-such-heading) [c](../no_such_file.py)",
            ("no_such_page.md", "no-such-heading", "no_such_file.py"),
        ),
        ("::: slackwater.NoSuchName", ("NoSuchName",)),
    ],
)
def test_a_broken_link_fails_the_build(text: str, complaints: tuple[str, ...], tmp_path: Path) -> None:
    """In a small site with the same settings: a strict build that passes everything would prove nothing."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text(f"# One\n\n{text}\n")
    (tmp_path / "docs" / "method.md").write_text("# Two\n")
    content = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    content |= {"nav": ["index.md", "method.md"], "hooks": [], "extra": {}}
    content["plugins"][2]["mkdocstrings"]["handlers"]["python"]["paths"] = [str(ROOT / "src")]
    (tmp_path / "mkdocs.yml").write_text(yaml.safe_dump(content))
    done = build(tmp_path / "mkdocs.yml", tmp_path / "site")
    assert done.returncode != 0
    assert [each for each in complaints if each not in done.stderr] == []
