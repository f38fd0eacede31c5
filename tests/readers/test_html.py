"""HTML: what a browser would show, whatever the encoding of the page."""

from pathlib import Path

import pytest

from extractor import ingest
from tests.readers.conftest import Read, failure, only, read_all
from tests.readers.texts import TEXTS, USUAL

PAGE = "<!doctype html><html><head><meta charset={}><title>题</title></head><body>{}</body></html>"
SEEN = [
    ("<p>一</p><p>二</p>", "一\n二"),
    ("一<b>二</b> <i>三</i>", "一二 三"),
    ("a\n   b&nbsp;\tc", "a b c"),
    ("一<br>二<br><br>三", "一\n二\n\n三"),
    ("<table><tr><th>名<th>值<tr><td><p>a</p><td>b</table>", "名\t值\na\tb"),
    ("<ul><li>一<li>二</ul>", "一\n二"),
    ("<pre>a  b\n  c</pre>d", "a  b\n  c\nd"),
    ("a<script>x</script><style>y</style><!-- z --><template>t</template>b", "ab"),
    ("a<span hidden>x</span><span style='display: none'>y</span>b", "ab"),
    ("1<s>2</s>3<p>&lt;b&gt; &amp; &#20013;</p>", "123\n<b> & 中"),
    ('<input value="值"><input type=hidden value=x><input type=password value=y>', "值"),
    ("138\u200b0013\u00ad8000", "13800138000"),
    ("<p>没有<div>关闭", "没有\n关闭"),
    ("a</div></p>b", "a\nb"),
    ("a<div style='display:none'>x</div>b<span hidden style='display:inline'>c</span>", "abc"),
    ("<table><tr><td>a<td style='display:none'>x<td>b</table>", "a\tb"),
    ("<select><option>请选择<option selected>已婚<option>未婚</select>", "已婚"),
    ("<select><option disabled>请选择<option>男<option>女</select>", "男"),
    ("<select multiple><option selected>红<option>绿<option selected label=蓝></select>", "红\n蓝"),
    (
        "<input type=checkbox checked>同意<input type=checkbox>不同意<input type=radio checked>男",
        "☑ 同意 ☐ 不同意 ◉ 男",
    ),
    ("<ruby>東<rp>(</rp><rt>とう</rt><rp>)</rp>京<rt>きょう</rt></ruby>都", "東京都"),
    ("<noscript>请启用脚本</noscript>文<dialog>问</dialog><dialog open>答</dialog>", "文\n答"),
    ('见<a href="https://a.cn/x?a=1&amp;b=2"> 合同 </a>，', "见 合同 (https://a.cn/x?a=1&b=2) ，"),
    (
        '<a href="https://www.a.cn/">a.cn</a> <a href="mailto:x@a.cn">X@a.cn</a> <a href="tel:+8610">+86 10</a>',
        "a.cn X@a.cn +86 10",
    ),
    (
        '<a href="mailto:x@a.cn"><img></a>|<a href="/b">b</a><a href="#c">c</a><a href="javascript:d()">d</a>',
        "(mailto:x@a.cn)|bcd",
    ),
    ('<p>a<p><a href="//a.cn/1"><div>块</div></a><p>b', "a\n块 (//a.cn/1)\nb"),
    ('<table><tr><td><a href="http://a.cn">甲</a><td>乙</table>', "甲 (http://a.cn)\t乙"),
]


def test_the_text_is_what_can_be_seen(tmp_path: Path) -> None:
    found = read_all(tmp_path, [PAGE.format("utf-8", body).encode() for body, _ in SEEN], ".html")
    assert found == [f"题\n{expected}" for _, expected in SEEN]


SHEETS = {
    "a class": (".x{display:none}", "<p class='y x'>密</p>"),
    "an id and a name": ("#i , b { VISIBILITY : hidden !important }", "<p id=i>密</p><b>密</b>"),
    "a compound in a chain": ("div > ul.m li[data-k='1']{display:none}", "<div><ul class=m><li data-k=1>密</ul></div>"),
    "a rule that says no to another": (".m{display:block}.m:not(.open){display:none}", "<p class=m>密</p>"),
    "a later sheet": (".m{display:block}</style><style media=screen>.m{display:none}", "<p class=m>密</p>"),
    "a screen": ("@media (min-width: 40em) and (max-width:9999px) {.x{display:none}}", "<p class=x>密</p>"),
    "an escaped name": (r".md\:x\/2{display:none}", "<p class='md:x/2'>密</p>"),
    "what comments and strings hide from view": ("/*}*/a:before{content:'}{'}.x{display:none}", "<p class=x>密</p>"),
    "what is hidden unless it is marked": ("div{display:none}", "<div style='color:red'>密</div>"),
}
SHOWN = {
    "a more specific rule": (".m.open{display:block}.m{display:none}", "<p class='m open'>明</p>"),
    "a later rule": (".m{display:none}.m{display:flex}", "<p class=m>明</p>"),
    "its own style": (".m{display:none}", "<p class=m style='display:block'>明</p>"),
    "an important rule": (".m{display:block!important}#i{display:none}", "<p class=m id=i>明</p>"),
    "print alone": ("@media print{.m{display:none}}", "<p class=m>明</p>"),
    "a narrow screen": ("@media (max-width:600px){.m{display:none}}", "<p class=m>明</p>"),
    "a pointer": (".m:hover{display:none} .m::before{display:none}", "<p class=m>明</p>"),
    "a tab that may be open": (".t{display:none}#a:checked ~ .t{display:block}", "<input id=a><p class=t>明</p>"),
    "another place": ("nav .m{display:none}ul > .m{display:none}", "<div class=nav><p class=m>明</p></div>"),
    "a whole page": ("html,body{display:none}", "<p>明</p>"),
    "a rule in braces too many": ("}.m{display:none", "<p class=m>明</p>"),
    "fonts and animations": ("@keyframes a{from{visibility:hidden}}@font-face{src:x}", "<p class=from>明</p>"),
}


@pytest.mark.parametrize("name", SHEETS)
def test_a_style_sheet_hides(read: Read, name: str) -> None:
    sheet, body = SHEETS[name]
    page = f"<style>{sheet}</style><body>文{body}".encode()
    document = only(read("a.html", page))
    assert (document.text, document.source.notes[0][:9]) == ("文", "left out:")
    assert "密" in only(read("a.html", page, hidden=True)).text


@pytest.mark.parametrize("name", SHOWN)
def test_a_style_sheet_leaves_alone(read: Read, name: str) -> None:
    sheet, body = SHOWN[name]
    document = only(read("a.html", f"<style>{sheet}</style><body>文{body}".encode()))
    assert (document.text.split(), document.source.notes) == (["文", "明"], ())


def test_what_is_left_out_is_counted_and_can_be_read(read: Read) -> None:
    page = (
        "<p>文<i hidden>密</i><i hidden></i><i style='display:none'>密</i><select><option>一<option>二<option>三"
        "</select><ruby>字<rt>zì</rt></ruby><template><b>板</b></template><noscript>无</noscript><dialog>问</dialog>"
    )
    document = only(read("a.html", page))
    assert document.text == "文\n一\n字"
    assert document.source.notes == (
        "left out: 3 hidden elements, 2 unchosen options, 1 ruby reading, 1 template, 1 noscript element",
    )
    found = only(read("a.html", page, hidden=True))
    assert (found.text, found.source.notes) == ("文密密\n一\n二\n三\n字(zì)\n板\n无\n问", ())


def _fits(text: str, encoding: str) -> bool:
    return text.encode(encoding, "replace").decode(encoding) == text


def _pages() -> list[tuple[str, str, str]]:
    found = []
    for language, encodings in USUAL.items():
        for encoding in encodings:
            text = max((text for text in TEXTS[language] if _fits(text, encoding)), key=len, default="")
            found += [(encoding, encoding, text), (encoding, "", text), (encoding, "iso-8859-1", text)]
    return [case for case in found if case[:2] != ("mac-roman", "iso-8859-1")]  # each would read the other


def test_a_page_is_read_whether_it_declares_its_encoding_or_not_or_a_wrong_one(read: Read, tmp_path: Path) -> None:
    expected = {}
    for number, (encoding, declared, text) in enumerate(_pages()):
        name = f"{number:03d} {encoding} as {declared or 'nothing'}.html"
        (tmp_path / name).write_bytes(PAGE.replace("题", "-").format(declared, text).encode(encoding))
        expected[name] = "".join(text.split())
    found = {item.id: "".join(getattr(item, "text", "").split()) for item in ingest.read(["*.html"])}
    assert found.keys() == expected.keys()
    assert [name for name, text in expected.items() if text not in found[name]] == []
    assert len({name.split()[1] for name in expected}) > 25


@pytest.mark.parametrize("declared", ["gb2312", "GBK", "x-gbk", "gb_2312-80", "big5"])
def test_an_encoding_is_taken_for_the_wider_one_as_browsers_do(read: Read, declared: str) -> None:
    page = f"<meta charset={declared}>" + ("臺灣，恒生銀行" if declared == "big5" else "朱镕基、陶喆")
    encoding = "cp950" if declared == "big5" else "gb18030"
    assert only(read("a.html", page.encode(encoding))).text == page.partition(">")[2]


def test_a_byte_order_mark_counts_more_than_what_is_declared(read: Read) -> None:
    for encoding in ("utf-8-sig", "utf-16", "utf-32"):
        assert only(read("a.html", PAGE.format("gb2312", "正文").encode(encoding))).text == "题\n正文"


def test_an_xml_declaration_counts_as_a_declaration(read: Read) -> None:
    page = '<?xml version="1.0" encoding="windows-1251"?><html><body>Заказ</body></html>'
    document = only(read("a.xhtml", page.encode("cp1251")))
    assert (document.text, document.source.encoding) == ("Заказ", "cp1251")


def test_a_few_broken_bytes_are_replaced_and_the_recorded_encoding_says_so(read: Read) -> None:
    page = PAGE.format("gb2312", "正文正文正文正文" * 20).encode("gb18030").replace(b"</body>", b"\xff</body>")
    document = only(read("a.html", page))
    assert document.text.endswith("\ufffd")
    assert document.source.encoding == "gb18030 (1 broken bytes read as U+FFFD)"


def test_a_page_without_visible_text_is_empty(read: Read) -> None:
    assert failure(read("a.html", "<html><body><script>render()</script></body></html>")).code == "empty"


def test_a_page_may_be_nested_deeply(read: Read) -> None:
    assert "核心" in only(read("a.html", PAGE.format("utf-8", "<div>" * 3000 + "核心"))).text
