"""The page over all models: in a browser, against its JSON, and without one."""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from spikewright.benchmarking.writing import MARKDOWN, PAGE, RESULTS, SCHEMA, write_overview
from spikewright.benchmarks.overview.schema import Entry, Overview
from spikewright.benchmarks.overview.schema_file import SCHEMA_PATH, schema_text

from ..chromium import Chromium, needs_chromium
from .overviews import HOSTILE, entry, make_overview, overview

PREFIXES = {
    "a": 1e-18, "f": 1e-15, "p": 1e-12, "n": 1e-9, "µ": 1e-6, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12,
}  # fmt: skip
#: What every bound element shows, and every piece of text that has a figure in it and is bound to nothing.
READ = """(() => {
  const bound = [...document.querySelectorAll('[data-path]')].map(e => ({
    tag: e.tagName, path: e.dataset.path, value: e.getAttribute('value'), none: 'none' in e.dataset,
    text: e.textContent}));
  const loose = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const node = walk.currentNode;
    if (!node.parentElement.closest('[data-path]') && /[0-9]/.test(node.textContent)) loose.push(node.textContent.trim());
  }
  return JSON.stringify({bound, loose});
})()"""


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("benchmark")
    write_overview(make_overview(folder), folder)
    return folder


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    with Chromium(tmp_path_factory.mktemp("chromium")) as tab:
        yield tab


def at(data: Any, path: str) -> Any:
    for key in path.split("."):
        data = data[int(key)] if isinstance(data, list) else data[key]
    return data


def number_in(text: str) -> float:
    """What a figure on the page says, by its own words."""
    if text.endswith("h") or " min" in text:
        raise AssertionError(f"{text}: longer than this test reads")
    cleaned = text.replace("−", "-").replace(",", "")
    found = re.fullmatch(
        r"(<|>)?\s*([+-]?[\d.]+)(?:×10([⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+))?\s*([afpnµmkMGT]?)(J|s|%|×)?", cleaned.strip()
    )
    assert found, text
    value = float(found[2]) * PREFIXES.get(found[4], 1.0)
    if found[3]:
        value *= 10 ** int(found[3].translate(str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")))
    return value


def check_page(tab: Chromium, folder: Path, *, width: int, dark: bool) -> None:
    """No complaint, no request, every figure the JSON's, no scrolling sideways."""
    address = (folder / PAGE).as_uri()
    tab.open(address, width=width, dark=dark)
    assert tab.complaints == []
    assert [url for url in tab.requests if not url.startswith("data:")] == [address]
    data = json.loads((folder / RESULTS).read_text("utf-8"))
    read = json.loads(tab.evaluate(READ))
    assert len([one for one in read["bound"] if one["tag"] == "DATA"]) > 20
    for one in read["bound"]:
        wanted = at(data, one["path"])
        if one["none"]:
            assert wanted is None, one
        elif one["tag"] == "DATA":
            assert json.loads(one["value"]) == wanted, one
            assert math.isclose(number_in(one["text"]), wanted, rel_tol=6e-3, abs_tol=6e-3 * (wanted != 0)), (
                one
            )
        else:
            assert one["text"] == wanted, one
    loose = [text for text in read["loose"] if re.search(r"\d", re.sub(r"\b(int8|fp32)\b", "", text))]
    assert loose == [], "figures that are bound to nothing"
    assert tab.evaluate("document.documentElement.scrollWidth") <= width


@needs_chromium
@pytest.mark.parametrize(("width", "dark"), [(1100, False), (360, False), (360, True)])
def test_the_page_in_a_browser_says_what_the_json_says(
    written: Path, tab: Chromium, width: int, dark: bool
) -> None:
    check_page(tab, written, width=width, dark=dark)


@needs_chromium
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('<data value="4" data-path="summary.done">4</data>', '<data value="5" data-path="summary.done">5</data>'),
        ('<data value="4" data-path="summary.done">4</data>', '<data value="4" data-path="summary.done">40</data>'),
        ("<main>", "<main><p>97 % of all</p>"),
        ("<main>", '<main><img alt="" src="http://127.0.0.1:9/picture.png">'),
        ("<main>", "<main><div style='width: 3000px'>wide</div>"),
    ],
    ids=["other figure", "other words", "loose figure", "request", "too wide"],
)  # fmt: skip
def test_a_page_that_is_wrong_is_found_out(
    written: Path, tab: Chromium, tmp_path: Path, old: str, new: str
) -> None:
    page = (written / PAGE).read_text("utf-8")
    assert old in page
    (tmp_path / PAGE).write_text(page.replace(old, new, 1), "utf-8")
    (tmp_path / RESULTS).write_text((written / RESULTS).read_text("utf-8"), "utf-8")
    with pytest.raises(AssertionError):
        check_page(tab, tmp_path, width=360, dark=False)


@needs_chromium
def test_every_picture_is_shown_and_every_link_leads_somewhere(written: Path, tab: Chromium) -> None:
    tab.open((written / PAGE).as_uri())
    tab.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    tab.evaluate("document.querySelectorAll('img').forEach(i => i.loading = 'eager')")
    tab.evaluate("Promise.all([...document.images].map(i => i.decode()))")
    missing = "[...document.images].filter(i => !i.complete || !i.naturalWidth || !i.alt).length"
    assert tab.evaluate("document.images.length") > 15
    assert tab.evaluate(missing) == 0
    targets = tab.evaluate("[...document.querySelectorAll('a')].map(a => a.getAttribute('href'))")
    for target in targets:
        if target.startswith("#"):
            assert tab.evaluate(f"!!document.getElementById({json.dumps(target[1:])})"), target
        else:
            assert (written / target).exists(), target


@needs_chromium
def test_dark_and_light_have_their_own_colours_and_pictures(written: Path, tab: Chromium) -> None:
    seen = []
    for dark in (False, True):
        tab.open((written / PAGE).as_uri(), dark=dark)
        paper = tab.evaluate("getComputedStyle(document.body).backgroundColor")
        source = tab.evaluate("document.querySelector('picture img').currentSrc.length")
        seen.append((paper, source))
    assert seen[0][0] == "rgb(255, 255, 255)"
    assert sum(map(int, re.findall(r"\d+", seen[1][0]))) < 120
    assert seen[0][1] != seen[1][1]


@needs_chromium
def test_a_keyboard_and_a_screen_reader_find_their_way(written: Path, tab: Chromium) -> None:
    tab.open((written / PAGE).as_uri(), width=360)
    levels = tab.evaluate("[...document.querySelectorAll('h1,h2,h3,h4')].map(h => +h.tagName[1])")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert tab.evaluate("[...document.querySelectorAll('th')].filter(h => !h.scope).length") == 0
    assert tab.evaluate("[...document.querySelectorAll('table')].filter(t => !t.caption).length") == 0
    # What scrolls by itself can be reached and has a name.
    sideways = """[...document.querySelectorAll('*')].filter(e => e.scrollWidth > e.clientWidth + 1 &&
      getComputedStyle(e).overflowX === 'auto' && (e.tabIndex < 0 || !e.getAttribute('aria-label'))).length"""
    assert tab.evaluate(sideways) == 0
    nodes = tab.send("Accessibility.getFullAXTree")["nodes"]
    nameless = [
        node
        for node in nodes
        if not node["ignored"]
        and node["role"]["value"] in ("link", "image", "region", "heading", "table")
        and not node.get("name", {}).get("value", "").strip()
    ]
    assert nameless == []
    for key in ("keyDown", "keyUp"):
        tab.send("Input.dispatchKeyEvent", type=key, key="Tab", code="Tab", windowsVirtualKeyCode=9)
    assert tab.evaluate("document.activeElement.className") == "skip"


@needs_chromium
def test_a_zoo_where_nothing_was_measured_has_a_page(tmp_path: Path, tab: Chromium) -> None:
    write_overview(overview([entry(1, "esvae-digits", "not run", words="Not yet.")]), tmp_path)
    tab.open((tmp_path / PAGE).as_uri())
    assert tab.complaints == []
    assert "No model with an ANN twin was measured" in tab.evaluate("document.body.innerText")


def test_json_obeys_the_schema_beside_it(written: Path) -> None:
    schema = json.loads((written / SCHEMA).read_text("utf-8"))
    data = json.loads((written / RESULTS).read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(data, schema)
    assert Overview.model_validate(data) == make_overview(written)
    data["models"][0]["result"]["energy"][0]["snn_joule"] = "much"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(data, schema)


def test_schema_file_is_current() -> None:
    assert SCHEMA_PATH.read_text("utf-8") == schema_text(), (
        "run python -m spikewright.benchmarks.overview.schema_file"
    )


def test_what_a_model_says_is_no_markup(written: Path) -> None:
    page, markdown = ((written / name).read_text("utf-8") for name in (PAGE, MARKDOWN))
    assert HOSTILE not in page
    assert "<script" not in page
    assert "<script" not in markdown


def test_markdown_names_every_model_and_its_headline(written: Path) -> None:
    markdown = (written / MARKDOWN).read_text("utf-8")
    for one in make_overview(written).models:
        assert one.name in markdown
        assert one.words.replace("<", "&lt;") in markdown
        if one.result is not None:
            assert one.result.headline.words in markdown


def test_an_entry_without_its_result_is_refused() -> None:
    with pytest.raises(ValueError, match="does not suit its status"):
        Entry(number=1, name="a", status="done", words="", command="c", seconds=1, cpu_seconds=1, result=None)
