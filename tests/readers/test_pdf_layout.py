"""PDF: the text is what a reader sees, in whatever order it was drawn; compared with an independent reader."""

import io
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import chain, permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reportlab.pdfgen.canvas import Canvas

from extractor.readers._support.page_layout import page_text
from extractor.readers._support.pdf_characters import read_characters
from extractor.readers._support.pdf_missing_fonts import stand_in
from tests.readers.conftest import Read, only
from tests.readers.making import pdf

Piece = tuple[float, float, str]

LABELS = [(60.0, 760.0 - 18 * row, label) for row, label in enumerate(["购买方名称：", "电话：", "金额：", "备注"])]
VALUES = [(180.0, 760.0 - 18 * row, value) for row, value in enumerate(["青山公司", "13800000001", "128.00", "无"])]
TICKET = "购买方名称：\t青山公司\n电话：\t13800000001\n金额：\t128.00\n备注\t无"
ROWS = [
    ["序号", "姓名", "电话"],
    ["1", "李四", "13800000001"],
    ["2", "王五", "13900000002"],
    ["3", "赵六", "13700000003"],
]
PROSE = [
    "本合同由甲乙双方在平等自愿的基础上",
    "协商签订，自双方签字盖章之日起生效",
    "有效期为三年，期满前一个月内双方可",
    "书面提出续签，逾期未提出的视为自动",
    "终止。因履行本合同发生的争议，双方",
    "应当友好协商解决。",
]
MORE_PROSE = [
    "乙方应当在收到货物后七日内完成验收",
    "，如有异议应以书面形式通知甲方，逾",
    "期未提出的视为验收合格。甲方对货物",
    "的质量保证期为十二个月，自验收合格",
    "之日起计算，在质量保证期内出现问题",
    "的由甲方免费更换。",
]


def drawn(*pieces: Piece, size: float = 11, prepare: Callable[[Canvas], None] | None = None) -> str:
    """Return the text of a page on which the pieces were drawn one after the other."""
    return text_of(page(*pieces, size=size, prepare=prepare))


def page(*pieces: Piece, size: float = 11, prepare: Callable[[Canvas], None] | None = None) -> bytes:
    out = io.BytesIO()
    canvas = Canvas(out, invariant=True)
    if prepare:
        prepare(canvas)
    canvas.setFont("STSong-Light", size)
    for x, y, text in pieces:
        canvas.drawString(x, y, text)
    canvas.save()
    return out.getvalue()


def text_of(data: bytes) -> str:
    import pypdfium2

    stand_in()
    document = pypdfium2.PdfDocument(data)
    try:
        return page_text(read_characters(document[0].get_textpage()))
    finally:
        document.close()


def lines(texts: Sequence[str], left: float, pitch: float = 18) -> list[Piece]:
    return [(left, 760 - pitch * number, text) for number, text in enumerate(texts)]


def table(rows: Sequence[Sequence[str]], width: float = 90, pitch: float = 20) -> list[Piece]:
    return [(60 + width * x, 760 - pitch * y, cell) for y, row in enumerate(rows) for x, cell in enumerate(row)]


def test_values_that_were_drawn_after_all_labels_stand_beside_them(read: Read) -> None:
    assert only(read("a.pdf", page(*LABELS, *VALUES))).text == TICKET


@settings(max_examples=25, deadline=None)
@given(st.permutations([*LABELS, *VALUES]))
def test_a_form_reads_alike_in_whatever_order_it_was_drawn(pieces: list[Piece]) -> None:
    assert drawn(*pieces) == TICKET


@settings(max_examples=25, deadline=None)
@given(st.permutations(table(ROWS)))
def test_a_table_reads_row_by_row_in_whatever_order_it_was_drawn(pieces: list[Piece]) -> None:
    assert drawn(*pieces) == "\n".join("\t".join(row) for row in ROWS)


def test_the_rows_of_a_small_table_do_not_run_together() -> None:
    assert drawn(*table(ROWS, pitch=8), size=6) == "\n".join("\t".join(row) for row in ROWS)


COLUMNS = lines(PROSE, 60), lines(MORE_PROSE, 310)


@pytest.mark.parametrize("pieces", [chain(*COLUMNS), chain(*COLUMNS[::-1]), chain(*zip(*COLUMNS, strict=True))])
def test_columns_of_text_are_read_one_after_the_other(pieces: Sequence[Piece]) -> None:
    assert drawn(*pieces) == "\n".join([*PROSE, *MORE_PROSE])


def test_columns_whose_lines_are_not_level_are_read_one_after_the_other() -> None:
    right = [(x, y - 7, text) for x, y, text in COLUMNS[1]]
    assert drawn(*chain(*zip(COLUMNS[0], right, strict=True))) == "\n".join([*PROSE, *MORE_PROSE])


def test_a_title_above_and_a_line_below_stay_outside_of_the_columns() -> None:
    wide = "第一条　双方的权利和义务、违约责任以及争议的解决方式适用中华人民共和国法律"
    pieces = [(60, 790, wide), *COLUMNS[1], *COLUMNS[0], (60, 620, wide)]
    assert drawn(*pieces) == "\n".join([wide, *PROSE, *MORE_PROSE, wide]).replace("\u3000", " ")


def test_two_lists_beside_each_other_that_say_what_is_what_are_two_columns() -> None:
    left = ["甲方：青山公司", "地址：城东路1号", "电话：13800000001"]
    right = ["乙方：绿水公司", "地址：城西路2号", "电话：13900000002"]
    pieces = chain(*zip(lines(left, 60), lines(right, 330), strict=True))
    assert drawn(*pieces) == "\n".join([*left, *right])


def test_two_things_a_row_of_a_list_stay_in_their_row() -> None:
    rows = [
        ["姓名：张三", "电话：13800000001"],
        ["姓名：李四", "电话：13900000002"],
        ["姓名：王五", "电话：13700000003"],
    ]
    pieces = table(rows, width=250)
    assert drawn(*pieces[0::2], *pieces[1::2]) == "\n".join("\t".join(row) for row in rows)


def test_labels_beside_labels_with_their_values_are_rows() -> None:
    rows = [["姓名：", "李四", "性别：", "男"], ["电话：", "13800000001", "年龄：", "42"]]
    for pieces in permutations([table(rows)[0::4], table(rows)[1::4], table(rows)[2::4], table(rows)[3::4]]):
        assert drawn(*chain(*pieces)) == "\n".join("\t".join(row) for row in rows)


def test_a_cell_that_is_broken_into_lines_stays_whole() -> None:
    cells = [(60, 760, "北京某某科技"), (60, 746, "有限公司"), (200, 760, "13800000001"), (330, 760, "2024-01-01")]
    below = [(60, 716, "青山公司"), (200, 716, "13900000002"), (330, 716, "2024-01-02")]
    text = "北京某某科技\n有限公司\t13800000001\t2024-01-01\n青山公司\t13900000002\t2024-01-02"
    assert drawn(*cells, *below) == text


def test_a_cell_of_two_lines_beside_a_centred_one_stays_whole() -> None:
    cells = [(60, 767, "北京某某科技"), (60, 753, "有限公司"), (200, 760, "13800000001")]
    assert {drawn(*order) for order in permutations(cells)} == {"北京某某科技\n有限公司\t13800000001"}


@pytest.mark.parametrize("angle", [90, 180, 270])
def test_a_page_that_was_turned_reads_like_any_other(angle: int) -> None:
    def turn(canvas: Canvas) -> None:
        canvas.setPageRotation(angle)
        canvas.translate(400, 400)
        canvas.rotate(angle)
        canvas.translate(-200, -600)

    assert drawn(*LABELS, *VALUES, prepare=turn) == TICKET


def test_what_stands_along_the_margin_does_not_garble_the_page() -> None:
    def margin(canvas: Canvas) -> None:
        canvas.saveState()
        canvas.translate(30, 300)
        canvas.rotate(90)
        canvas.setFont("Helvetica", 12)
        canvas.drawString(0, 0, "arXiv:1234.56789 [cs.CL]")
        canvas.restoreState()

    assert drawn(*LABELS, *VALUES, prepare=margin) == f"{TICKET}\narXiv:1234.56789 [cs.CL]"


def test_text_from_top_to_bottom_is_read_by_its_columns_from_the_right() -> None:
    columns = ["床前明月光", "疑是地上霜", "举头望明月", "低头思故乡"]
    pieces = [(400 - 22 * x, 760 - 12 * y, word) for x, line in enumerate(columns) for y, word in enumerate(line)]
    assert drawn(*pieces) == "\n".join(columns)


def test_a_label_from_top_to_bottom_is_a_word() -> None:
    label = [(30, 760 - 12 * number, word) for number, word in enumerate("购买方")]
    assert drawn(*label, *LABELS, *VALUES).startswith("购买方\t购买方名称：\t青山公司\n")


@pytest.mark.parametrize("shift", [(0, 0), (0.4, 0), (0.3, -0.3)])
def test_text_that_was_drawn_twice_to_look_bold_is_there_once(shift: tuple[float, float]) -> None:
    twice = [(x + shift[0], y + shift[1], text) for x, y, text in LABELS]
    assert drawn(*LABELS, *twice, *VALUES) == TICKET
    by_character = [
        (60 + 11 * at + dx, 760.0, word) for at, word in enumerate("合计金额") for dx in (0, shift[0] + 0.1)
    ]
    assert drawn(*by_character) == "合计金额"


def test_repeated_characters_are_no_copies() -> None:
    assert drawn((60, 760, "1111000022 ll iiii ........ 人人人")) == "1111000022 ll iiii ........ 人人人"


def test_a_number_broken_at_a_hyphen_keeps_it_and_a_word_loses_it() -> None:
    assert drawn((60, 760, "tel 010-"), (60, 742, "12345678")) == "tel 010-\n12345678"
    assert drawn((60, 760, "a hyphen-"), (60, 742, "ated word")) == "a hyphenated word"


def test_a_page_of_scattered_characters_is_read_whole() -> None:
    scattered = [(60 + 37 * (at * 7 % 13), 780 - 3 * (at * 11 % 199), chr(0x4E00 + at)) for at in range(400)]
    assert Counter("".join(drawn(*scattered).split())) == Counter(text for _, _, text in scattered)


GENERATED = {
    "form": page(*LABELS, *VALUES),
    "table": page(*table(ROWS)),
    "small": page(*table(ROWS, pitch=8), size=6),
    "columns": page(*chain(*zip(*COLUMNS, strict=True))),
    "pages": pdf(PROSE, MORE_PROSE, ["Zhang San, €5.00 – 25 °C", "tel 010-", "12345678"]),
}


@pytest.mark.parametrize("name", GENERATED)
def test_the_characters_are_those_that_another_reader_finds(name: str, read: Read) -> None:
    pypdf = pytest.importorskip("pypdf")
    reference = "".join(each.extract_text() for each in pypdf.PdfReader(io.BytesIO(GENERATED[name])).pages)
    wanted, found = (Counter("".join(text.split())) for text in (reference, only(read("a.pdf", GENERATED[name])).text))
    assert (wanted & found).total() >= 0.99 * wanted.total()
    assert found.total() <= 1.01 * wanted.total()
