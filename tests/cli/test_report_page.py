"""The page in a real browser: highlights on the right characters, filters that filter, nothing executed or fetched."""

from __future__ import annotations

import html
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from extractor.data import Conflict, Json, Provenance, Record, RecordError, Withheld
from extractor.errors import Problem
from tests import browser
from tests.browser import Browser
from tests.cli.conftest import command, environment
from tests.report.records import found, write

pytestmark = pytest.mark.skipif(not browser.is_here(), reason="chromium and chromedriver are not installed")

EVIL = '<script>window.hurt = 1</script></script><!-- <img src=x onerror="window.hurt = 1"> &lt; {{ 7 * 7 }} '
TEXTS = {
    "evil.txt": f"{EVIL}😀😀 手机号 13800000000，密码 <b>Se\u2028cr😀et</b> 结束",
    "unsure.txt": "账号：ops_view，手机号：13900000000",
    "nested.txt": "地址：上海市浦东新区张江路1号",
    "ungrounded.txt": "联系人没有留下任何号码",
    "failed.txt": "此文没有答案",
    "fine.txt": "手机号：13700000000",
    "partial.txt": "邮箱：a@b.cc",
}
DATA: dict[str, dict[str, Json] | None] = {
    "evil.txt": {"手机号": "13800000000", "密码": "Se\u2028cr😀et", "邮箱": None},
    "unsure.txt": {"账号": "ops_view", "手机号": "13900000000"},
    "nested.txt": {"地址": "上海市浦东新区张江路1号", "城市": "上海市"},
    "ungrounded.txt": {"手机号": "13612345678"},
    "failed.txt": None,
    "fine.txt": {"手机号": "13700000000"},
    "partial.txt": {"邮箱": "a@b.cc"},
}
CHANGES: dict[str, dict[str, Json]] = {
    "evil.txt": {"confidence": {"/手机号": 0.97, "/密码": 0.9}},
    "unsure.txt": {
        "confidence": {"/账号": 0.99, "/手机号": 0.31},
        "conflicts": {"/账号": (Conflict("13900000000", (16, 27)),)},
        "provenance": Provenance(("strict",), {"/账号": "label"}),
    },
    "nested.txt": {
        "provenance": Provenance(
            ("strict",),
            {"/城市": "example"},
            withheld=(Withheld("行/邮编", "<i>200120", "confidence", 0.41), Withheld("电话", 110, "ungrounded")),
        )
    },
    "failed.txt": {"status": "failed", "errors": (RecordError(Problem("parse", "the <answer> holds no JSON"), 0, 1),)},
    "fine.txt": {"confidence": {"/手机号": 0.98}},
    "partial.txt": {"status": "partial", "errors": (RecordError(Problem("required", "/手机号: missing"), 0, 1),)},
}
ORDER = ["failed.txt", "partial.txt", "ungrounded.txt", "unsure.txt", "nested.txt", "evil.txt", "fine.txt"]


@pytest.fixture(scope="module")
def driver() -> Iterator[str]:
    with browser.driver() as address:
        yield address


@pytest.fixture(scope="module")
def window(driver: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(driver, tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report on the documents above."""
    records = [found(name, text, DATA[name], **CHANGES.get(name, {})) for name, text in TEXTS.items()]
    return _report(tmp_path_factory.mktemp("report"), TEXTS, records)


@pytest.fixture
def page(report: Path, window: Browser) -> Iterator[Browser]:
    """The report, open in the window; at the end the console must be silent, and nothing fetched or executed."""
    window.messages()
    window.open(report)
    yield window
    assert window.messages() == []
    assert window.run("return performance.getEntriesByType('resource').length") == 0
    assert window.run("return window.hurt") is None


def _report(folder: Path, texts: dict[str, str], records: list[Record], *options: str) -> Path:
    write(folder, texts, records)
    line = command("report", "results.jsonl", "-o", "report.html", *options)
    subprocess.run(line, cwd=folder, env=environment(), check=True, timeout=300)
    return folder / "report.html"


def _ids(window: Browser) -> list[str]:
    shown: list[str] = window.run("return [...document.querySelectorAll('article h2')].map((node) => node.textContent)")
    return shown


def _marks(window: Browser, name: str) -> list[list[str]]:
    """Field and characters of each highlight of a document."""
    marks: list[list[str]] = window.run(
        "return [...document.querySelectorAll(`article[aria-label='${arguments[0]}'] mark`)]"
        ".map((node) => [node.dataset.field, node.textContent])",
        name,
    )
    return marks


def _set(window: Browser, name: str, value: str) -> None:
    window.run(
        "const [id, value] = arguments; const input = document.getElementById(id); input.value = value;"
        "input.dispatchEvent(new Event('input', {bubbles: true}))",
        name,
        value,
    )


def test_failed_and_odd_documents_come_first(page: Browser) -> None:
    assert _ids(page) == ORDER


def test_highlights_are_on_the_characters_of_their_values(page: Browser) -> None:
    assert _marks(page, "evil.txt") == [["手机号", "13800000000"], ["密码", "Se\u2028cr😀et"]]
    assert _marks(page, "fine.txt") == [["手机号", "13700000000"]]
    assert _marks(page, "nested.txt") == [["城市", "上海市"], ["地址", "浦东新区张江路1号"]]
    assert _marks(page, "ungrounded.txt") == []


def test_documents_are_shown_as_they_are_and_never_as_markup(page: Browser) -> None:
    for name, text in TEXTS.items():
        shown = page.run(
            "return document.querySelector(`article[aria-label='${arguments[0]}'] .text`).textContent", name
        )
        assert shown == text
    assert page.run("return document.querySelectorAll('article script, article img, article b').length") == 0


def test_each_field_has_a_colour_of_its_own(page: Browser) -> None:
    colours = page.run(
        "return [...document.querySelectorAll('#fields .chip')].map((node) => getComputedStyle(node).backgroundColor)"
    )
    assert len(colours) == len(set(colours)) == 6


def test_hovering_and_focus_show_field_confidence_and_alternatives(page: Browser) -> None:
    selector = "article[aria-label='unsure.txt'] mark[data-field='账号']"
    expected = "账号: ops_view\nconfidence 0.99\nplace chosen: label\nalternatives: 13900000000"
    page.hover(selector)
    assert page.run("return [document.getElementById('tip').hidden, document.getElementById('tip').textContent]") == [
        False,
        expected,
    ]
    page.keys("\ue00c")
    assert page.run("return document.getElementById('tip').hidden") is True
    page.run("document.querySelector(arguments[0]).focus()", selector)
    assert page.run("return document.getElementById('tip').textContent") == expected


def test_what_was_withheld_or_is_of_an_example_is_shown(page: Browser) -> None:
    shown = "return [...document.querySelectorAll(`article[aria-label='nested.txt'] ${arguments[0]}`)]"
    shown += ".map((node) => node.textContent)"
    assert page.run(shown, ".badge") == ["ok", "value withheld", "value of an example"]
    assert page.run(shown, ".withheld li") == [
        "withheld: 行/邮编: <i>200120 (confidence 0.41)",
        "withheld: 电话: 110 (not in the text)",
    ]
    assert "of an example, not in the text" in page.run(shown, "td.grounding")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"search": "张江路"}, ["nested.txt"]),
        ({"search": "<SCRIPT>"}, ["evil.txt"]),
        ({"search": "no such text"}, []),
        ({"status": "failed"}, ["failed.txt"]),
        ({"status": "partial"}, ["partial.txt"]),
        ({"status": "ungrounded"}, ["ungrounded.txt"]),
        ({"status": "conflict"}, ["unsure.txt"]),
        ({"status": "withheld"}, ["nested.txt"]),
        ({"status": "example"}, ["nested.txt"]),
        ({"field": "账号"}, ["unsure.txt"]),
        ({"field": "邮箱"}, ["partial.txt"]),
        ({"confidence": "0.95"}, ["unsure.txt", "evil.txt"]),
        ({"confidence": "0.97", "field": "手机号"}, ["unsure.txt", "evil.txt"]),
        ({"confidence": "0.95", "field": "手机号"}, ["unsure.txt"]),
        ({"status": "ok", "field": "手机号", "search": "137"}, ["fine.txt"]),
    ],
    ids=str,
)
def test_filters_show_the_documents_that_fit(page: Browser, settings: dict[str, str], expected: list[str]) -> None:
    for name, value in settings.items():
        if name == "field":
            value = page.run(
                "return [...document.querySelectorAll('#field option')].find((one) => one.text === arguments[0]).value",
                value,
            )
        _set(page, name, value)
    assert _ids(page) == expected
    assert f"of {len(expected)} documents" in page.run("return document.getElementById('count').textContent") or (
        not expected
    )
    page.run("document.querySelector('#filters button[type=reset]').click()")
    page.run("return new Promise((done) => setTimeout(done, 50))")
    assert _ids(page) == ORDER


def test_the_field_in_the_summary_filters_as_well(page: Browser) -> None:
    page.run("[...document.querySelectorAll('#fields .chip')].find((chip) => chip.textContent === '账号').click()")
    assert _ids(page) == ["unsure.txt"]


def test_the_keyboard_is_enough(page: Browser) -> None:
    page.keys("jj")
    assert page.run("return document.activeElement.getAttribute('aria-label')") == ORDER[1]
    page.keys("k")
    assert page.run("return document.activeElement.getAttribute('aria-label')") == ORDER[0]
    page.keys("/")
    page.keys("张江")
    assert _ids(page) == ["nested.txt"]
    page.keys("\ue004" * 30)
    assert page.run("return document.activeElement !== document.querySelector('#search')")


def test_the_value_in_the_table_leads_to_its_place(page: Browser) -> None:
    page.run("document.querySelector(\"article[aria-label='evil.txt'] button.chip[data-value='1']\").click()")
    assert page.run("return document.activeElement.textContent") == "Se\u2028cr😀et"


def _texts_of(window: Browser, selector: str) -> list[list[str]]:
    """The texts of the children of each element."""
    found: list[list[str]] = window.run(
        "return [...document.querySelectorAll(arguments[0])].map((e) => [...e.children].map((c) => c.textContent))",
        selector,
    )
    return found


def test_the_summary_counts(page: Browser) -> None:
    tiles = {label: value for value, label in _texts_of(page, ".tile")}
    assert (tiles["documents"], tiles["ok"], tiles["partial"], tiles["failed"]) == ("7", "5", "1", "1")
    assert tiles["with values not found in the text"] == "1"
    assert ["手机号", "4", "4", "0.75", "1", "0"] in _texts_of(page, "#fields tbody tr")
    assert ["Partial and failed documents by problem", "parse1required1"] in _texts_of(page, "figure")


@pytest.mark.parametrize("dark", [False, True])
def test_text_is_readable_in_light_and_dark_and_on_a_narrow_window(
    driver: str, tmp_path: Path, report: Path, dark: bool
) -> None:
    with Browser(driver, tmp_path / "profile", dark) as window:
        window.resize(400, 800)
        window.open(report)
        assert window.run("return matchMedia('(prefers-color-scheme: dark)').matches") is dark
        assert window.run("return document.documentElement.scrollWidth <= window.innerWidth")
        for ink, paper in window.run(COLOURS):
            assert _contrast(ink, paper) >= 4.5, (ink, paper)
        window.screenshot(tmp_path / "page.png")
        assert (tmp_path / "page.png").stat().st_size > 10_000


COLOURS = """
const badges = ['.badge.ok', '.badge.partial', '.badge.failed', '.badge.odd'];
return ['mark', '.chip', '.text', '.about', ...badges, '.errors li', 'h1'].flatMap(
  (selector) => [...document.querySelectorAll(selector)].map((node) => {
    let ground = node;
    while (getComputedStyle(ground).backgroundColor === 'rgba(0, 0, 0, 0)') ground = ground.parentElement;
    return [getComputedStyle(node).color, getComputedStyle(ground).backgroundColor];
  }))
"""


def _contrast(one: str, other: str) -> float:
    """The contrast ratio of WCAG 2 between two colours as browsers write them."""

    def luminance(colour: str) -> float:
        parts = [int(float(part)) / 255 for part in re.findall(r"[\d.]+", colour)[:3]]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_many_documents_come_in_pages_and_all_can_be_found(tmp_path: Path, window: Browser) -> None:
    texts = {f"{number:04}.txt": f"第{number}份，手机号：{13000000000 + number}" for number in range(300)}
    records = [
        found(name, text, {"手机号": text[-11:]}, confidence={"/手机号": number / 300})
        for number, (name, text) in enumerate(texts.items())
    ]
    window.open(_report(tmp_path, texts, records))
    assert _ids(window) == list(texts)[:20]
    window.keys("nn")
    assert _ids(window) == list(texts)[40:60]
    assert window.run("return document.getElementById('count').textContent") == "41–60 of 300 documents"
    _set(window, "search", "13000000287")
    assert _ids(window) == ["0287.txt"]
    assert window.messages() == []


def test_a_redacted_page_holds_no_secret_anywhere(tmp_path: Path, window: Browser) -> None:
    secret = "Qm7-harbor"
    texts = {"a.txt": f"密码：{secret}。重复：{secret}！", "b.txt": f"密码：{secret}"}
    failure = {"status": "failed", "errors": (RecordError(Problem("parse", "no JSON"), 0, 1),)}
    records = [found("a.txt", texts["a.txt"], {"密码": secret}), found("b.txt", texts["b.txt"], None, **failure)]
    written = _report(tmp_path, texts, records, "-s", "contact", "--redact")
    window.open(written)
    assert secret not in html.unescape(written.read_text("utf-8"))
    assert _marks(window, "a.txt") == [["密码", "***"]]
    assert "withheld" in window.run("return document.querySelector('.note').textContent")
    assert json.loads((tmp_path / "results.jsonl").read_text("utf-8").splitlines()[0])["data"] == {"密码": secret}
