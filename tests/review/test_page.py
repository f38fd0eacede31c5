"""The page in a real browser: what is clicked and typed ends in the gold file, with the characters that were meant."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from extractor.data import Conflict
from tests import browser
from tests.browser import Browser, BrowserError, Point
from tests.report.records import found, write
from tests.review.running import gold, review

pytestmark = pytest.mark.skipif(not browser.is_here(), reason="chromium and chromedriver are not installed")

ENTER, ESCAPE, DOWN, UP, CONTROL = "\ue007", "\ue00c", "\ue015", "\ue013", "\ue009"
EVIL = '<img src=x onerror="window.hurt = 1">'
TEXTS = {
    "a.txt": f"😀😀 值班 13800000000，家里 13900000000，再说一遍 13800000000。{EVIL} 邮箱 zhang@b.cc 完",
    "b.txt": "账号 root，密码 x1",
}
DATA: dict[str, dict[str, Any]] = {"a.txt": {"手机号": "13800000000"}, "b.txt": {"账号": "root", "密码": "x1"}}


@pytest.fixture(scope="module")
def driver() -> Iterator[str]:
    with browser.driver() as address:
        yield address


@pytest.fixture(scope="module")
def window(driver: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(driver, tmp_path_factory.mktemp("profile")) as opened:
        opened.resize(1200, 800)
        yield opened


@pytest.fixture
def page(window: Browser, tmp_path: Path) -> Iterator[Browser]:
    """A review of the texts above; at the end the console must be silent, and nothing of a document executed."""
    other = Conflict("13900000000", (21, 32))
    records = [
        found("a.txt", TEXTS["a.txt"], DATA["a.txt"], confidence={"/手机号": 0.4}, conflicts={"/手机号": (other,)}),
        found("b.txt", TEXTS["b.txt"], DATA["b.txt"], confidence={"/账号": 0.9}),
    ]
    write(tmp_path, TEXTS, records)
    with review(tmp_path, "-s", "contact", "--lang", "en") as running:
        window.messages()
        window.open(running.address)
        _until(window, "return document.getElementById('name').textContent", "a.txt")
        yield window
        assert window.messages() == []
        assert window.run("return window.hurt") is None
        window.run("window.onbeforeunload = null")
        window.open("about:blank")
        assert running.end() == 0


def _until(window: Browser, script: str, expected: Any, *arguments: Any) -> None:
    """Wait for a script to give what is expected; one that fails looks for what is not there yet."""
    seen: Any = None
    for _ in range(200):
        try:
            seen = window.run(script, *arguments)
        except BrowserError as error:
            seen = error
        if seen == expected:
            return
        time.sleep(0.05)
    assert seen == expected


def _saved(window: Browser, tmp_path: Path, count: int = 1) -> list[dict[str, Any]]:
    """The rows of the gold file once the page has said so often that one is saved."""
    decided = "return [...document.querySelectorAll('#rows option')].filter((one) => !one.text.startsWith('·')).length"
    _until(window, decided, count)
    return gold(tmp_path)


POINTS = """
const [start, end] = arguments;
const walker = document.createTreeWalker(document.getElementById('text'), NodeFilter.SHOW_TEXT);
const range = document.createRange();
let before = 0;
for (let node = walker.nextNode(); node; node = walker.nextNode()) {
  if (before <= start && start < before + node.length) range.setStart(node, start - before);
  if (before < end && end <= before + node.length) range.setEnd(node, end - before);
  before += node.length;
}
range.startContainer.parentNode.scrollIntoView({block: 'nearest'});
const boxes = [...range.getClientRects()];
const [first, last] = [boxes[0], boxes[boxes.length - 1]];
return [[first.left + 1, first.top + first.height / 2], [last.right - 1, last.top + last.height / 2]];
"""


def _points(window: Browser, text: str, start: int, end: int) -> tuple[Point, Point]:
    """Where on the screen characters of the text begin and end."""
    units = [len(text[:at].encode("utf-16-le")) // 2 for at in (start, end)]
    first, last = window.run(POINTS, *units)
    return tuple(first), tuple(last)


def _select(window: Browser, text: str, start: int, end: int) -> None:
    window.drag(*_points(window, text, start, end))


def _value(window: Browser, pointer: str, expected: str) -> None:
    script = "return [...document.querySelectorAll('.field')].find((one) => one.dataset.pointer === arguments[0])"
    _until(window, f"{script}.querySelector('textarea').value", expected, pointer)


def test_a_correction_with_the_mouse_is_in_the_gold_file_with_its_place(page: Browser, tmp_path: Path) -> None:
    text = TEXTS["a.txt"]
    start = text.index("zhang@b.cc")
    page.click(".field[data-pointer='/邮箱'] .label")
    _select(page, text, start, start + 10)
    _value(page, "/邮箱", "zhang@b.cc")
    page.click("#accept")
    (row,) = _saved(page, tmp_path)
    assert row["data"] == {"手机号": "13800000000", "邮箱": "zhang@b.cc", "账号": None, "密码": None}
    assert row["spans"] == {"/手机号": [[6, 17]], "/邮箱": [[start, start + 10]]}
    assert [text[slice(*span)] for (span,) in row["spans"].values()] == ["13800000000", "zhang@b.cc"]
    assert (row["id"], row["text"], row["decision"], row["decided_by"]) == ("a.txt", text, "corrected", "li")


def test_a_correction_with_the_keyboard_alone_takes_the_place_that_is_chosen(page: Browser, tmp_path: Path) -> None:
    second = TEXTS["a.txt"].rindex("13800000000")
    page.keys(ENTER + "138")
    _until(page, "return document.querySelectorAll('mark.chosen').length", 1)
    page.keys(DOWN)
    page.keys(ENTER)
    _value(page, "/手机号", "13800000000")
    page.keys(DOWN + ENTER + "zhang")
    _until(page, "return [...document.querySelectorAll('mark.chosen')].map((one) => one.textContent)", ["zhang"])
    page.keys("@b.cc")
    _until(page, "return [...document.querySelectorAll('mark.chosen')].map((one) => one.textContent)", ["zhang@b.cc"])
    page.keys(ENTER + "a")  # no key between them waits until what was typed has been taken
    (row,) = _saved(page, tmp_path)
    assert row["data"]["手机号"] == "13800000000"
    assert row["spans"]["/手机号"] == [[second, second + 11]]
    assert row["spans"]["/邮箱"] == [[TEXTS["a.txt"].index("zhang"), TEXTS["a.txt"].index("zhang") + 10]]


def test_a_value_that_occurs_twice_gets_the_place_that_is_clicked(page: Browser, tmp_path: Path) -> None:
    second = TEXTS["a.txt"].rindex("13800000000")
    _until(page, "return document.querySelectorAll('mark.place').length", 1)
    page.click("mark.place")
    _until(page, "return document.querySelector('mark.current')?.previousSibling?.textContent.slice(-4)", "说一遍 ")
    page.click("#accept")
    (row,) = _saved(page, tmp_path)
    assert row["spans"] == {"/手机号": [[second, second + 11]]}
    assert row["decision"] == "corrected"


def test_a_selection_in_a_number_takes_the_whole_number_and_another_value_is_one_click(
    page: Browser, tmp_path: Path
) -> None:
    text = TEXTS["a.txt"]
    _select(page, text, text.index("139") + 2, text.index("139") + 5)
    _value(page, "/手机号", "13900000000")
    page.click("#accept")
    (row,) = _saved(page, tmp_path)
    assert row["spans"] == {"/手机号": [[text.index("139"), text.index("139") + 11]]}


def test_the_other_value_that_was_found_is_one_click(page: Browser, tmp_path: Path) -> None:
    page.click(".others button")
    _value(page, "/手机号", "13900000000")
    page.keys("a")
    (row,) = _saved(page, tmp_path)
    assert row["spans"] == {"/手机号": [[21, 32]]}


def test_rows_are_accepted_blanked_and_skipped_with_the_keyboard(page: Browser, tmp_path: Path) -> None:
    page.keys("b")
    _value(page, "/手机号", "")
    page.keys("a")
    _until(page, "return document.getElementById('name').textContent", "b.txt")
    page.keys("s")
    first, second = _saved(page, tmp_path, 2)
    assert (first["decision"], first["data"]["手机号"], first["spans"]) == ("corrected", None, {})
    assert (second["decision"], second["data"]) == ("skipped", None)
    _until(page, "return document.getElementById('message').textContent.slice(0, 21)", "All rows are decided.")
    page.keys("a")
    _until(page, "return document.getElementById('decision').textContent", "accepted")
    assert gold(tmp_path)[2]["data"]["账号"] == "root"


def test_nobody_decides_on_a_row_before_it_is_shown(page: Browser, tmp_path: Path) -> None:
    press = "document.body.dispatchEvent(new KeyboardEvent('keydown', {key: 'a', bubbles: true}));"
    page.run(press * 3)
    _until(page, "return document.getElementById('name').textContent", "b.txt")
    assert [row["id"] for row in _saved(page, tmp_path)] == ["a.txt"]


def test_what_does_not_fit_is_refused_beside_its_field_and_nothing_is_saved(page: Browser, tmp_path: Path) -> None:
    page.keys(DOWN + ENTER + "nobody@here" + ENTER + "a")  # accepting does not take what was there before instead
    reason = "return [...document.querySelectorAll('.refused')].map((one) => one.textContent.slice(0, 16))"
    _until(page, reason, ["Not in the text:"])
    assert page.run("return document.activeElement.dataset.pointer") == "/邮箱"
    page.keys(ENTER + ESCAPE)
    assert page.run("return document.querySelector('.field.current textarea').value") == ""
    assert (tmp_path / "results.gold.jsonl").read_text("utf-8") == ""


def test_the_text_is_shown_as_it_is(page: Browser) -> None:
    assert page.run("return document.getElementById('text').textContent") == TEXTS["a.txt"]
    assert page.run("return document.querySelectorAll('#text img').length") == 0


@pytest.mark.parametrize(("language", "label"), [("en", "Accept"), ("zh", "接受")])
def test_the_page_speaks_english_and_chinese(window: Browser, tmp_path: Path, language: str, label: str) -> None:
    write(tmp_path, {"b.txt": TEXTS["b.txt"]}, [found("b.txt", TEXTS["b.txt"], DATA["b.txt"])])
    with review(tmp_path, "-s", "contact", "--lang", language) as running:
        window.open(running.address)
        _until(window, "return document.querySelector('#accept').firstChild.textContent", label)
        assert window.run("return document.documentElement.lang.slice(0, 2)") == language
        window.keys("?")
        assert window.run("return document.querySelectorAll('#keys tr').length") == 11
        assert window.run(
            "return WORDS[arguments[0]] && Object.keys(WORDS.en).join() === Object.keys(WORDS.zh).join()", language
        )
        window.keys(ESCAPE)
        window.open("about:blank")


@pytest.mark.parametrize("width", [380, 800])
def test_nothing_runs_out_of_the_window(window: Browser, tmp_path: Path, width: int) -> None:
    write(tmp_path, {"b.txt": TEXTS["b.txt"]}, [found("b.txt", TEXTS["b.txt"], DATA["b.txt"])])
    with review(tmp_path, "-s", "contact") as running:
        window.resize(width, 800)
        window.open(running.address)
        _until(window, "return document.querySelectorAll('.field').length", 4)
        assert window.run("return document.documentElement.scrollWidth <= window.innerWidth")
        assert window.run("return document.getElementById('accept').getBoundingClientRect().bottom <= innerHeight")
        window.open("about:blank")
    window.resize(1200, 800)
