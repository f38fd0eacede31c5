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
]


def test_the_text_is_what_can_be_seen(tmp_path: Path) -> None:
    found = read_all(tmp_path, [PAGE.format("utf-8", body).encode() for body, _ in SEEN], ".html")
    assert found == [f"题\n{expected}" for _, expected in SEEN]


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
