"""EPUB: the chapters of a book in the order of its spine."""

from tests.readers.conftest import Read, failure, locations, only
from tests.readers.making import recall, zipped
from tests.readers.texts import TEXTS

CONTAINER = b'<container><rootfiles><rootfile full-path="OPS/book.opf"/></rootfiles></container>'
PAGE = "<?xml version='1.0'?><!DOCTYPE html><html><head><title>{0}</title></head><body><p>{1}</p></body></html>"


def _book(chapters: dict[str, str], order: list[str] | None = None, **more: bytes) -> bytes:
    items = "".join(
        f'<item id="{name}" href="text/{name}%20a.xhtml" media-type="application/xhtml+xml"/>' for name in chapters
    )
    spine = "".join(f'<itemref idref="{name}"/>' for name in order or chapters)
    package = (
        f'<package xmlns="http://www.idpf.org/2007/opf"><manifest>{items}</manifest><spine>{spine}</spine></package>'
    )
    pages = {f"OPS/text/{name} a.xhtml": PAGE.format(name, text).encode() for name, text in chapters.items()}
    start = {"mimetype": b"application/epub+zip", "META-INF/container.xml": CONTAINER, "OPS/book.opf": package.encode()}
    return zipped(start | pages | more)


def test_chapters_come_in_the_order_of_the_spine(read: Read) -> None:
    found = only(read("a.epub", _book({"一": "正文<b>甲</b>", "二": "乙<script>x</script>"}, ["二", "一"])))
    assert found.text == "二\n乙\n一\n正文甲"
    assert locations(found) == [("二\n乙", {"chapter": 1}), ("一\n正文甲", {"chapter": 2})]


def test_what_chapters_hide_is_counted_over_all_and_read_where_that_is_asked_for(read: Read) -> None:
    book = _book({"一": "甲<i hidden>暗</i>", "二": "乙<i hidden>影</i>"})
    found = only(read("a.epub", book))
    assert (found.text, found.source.notes) == ("一\n甲\n二\n乙", ("left out: 2 hidden elements",))
    assert only(read("a.epub", book, hidden=True)).text == "一\n甲暗\n二\n乙影"


def test_a_chapter_that_is_not_in_the_file_is_named(read: Read) -> None:
    data = _book({"一": "甲", "二": "乙"}).replace("二 a".encode(), "三 a".encode())
    assert only(read("a.epub", data)).source.notes == ("left out: 1 chapter that is not in the file",)


def test_a_book_holds_all_that_was_written(read: Read) -> None:
    chapters = {name: "<br/>".join(texts) for name, texts in TEXTS.items()}
    assert recall(only(read("a.epub", _book(chapters))).text, "".join(chapters.values()).replace("<br/>", "")) >= 0.99


def test_a_protected_book_says_so_and_one_without_chapters_is_empty(read: Read) -> None:
    names = b'<encryption><CipherReference URI="OPS/text/%E4%B8%80%20a.xhtml"/></encryption>'
    assert failure(read("a.epub", _book({"一": "甲"}, **{"META-INF/encryption.xml": names}))).code == "locked"
    assert failure(read("a.epub", _book({}))).code == "empty"


def test_a_book_without_its_index_is_damaged(read: Read) -> None:
    data = zipped({"mimetype": b"application/epub+zip", "META-INF/container.xml": CONTAINER})
    assert failure(read("a.epub", data)).code == "damaged"
