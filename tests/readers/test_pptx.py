"""PowerPoint: all that is on the slides, in order, compared with what python-pptx reads of it."""

import copy
import io
import zipfile
from collections.abc import Callable
from typing import Any

import pptx
from pptx.chart.data import CategoryChartData
from pptx.enum.chart import XL_CHART_TYPE
from pptx.util import Inches

from tests.readers.conftest import Read, failure, locations, only
from tests.readers.making import locked_office, recall, zipped
from tests.readers.texts import TEXTS

BOX = (Inches(1), Inches(1), Inches(3), Inches(1))


def _slides(*changes: Callable[[Any], None], layout: int = 5) -> bytes:
    """A presentation with a slide for each change."""
    presentation = pptx.Presentation()
    for change in changes:
        change(presentation.slides.add_slide(presentation.slide_layouts[layout]))
    out = io.BytesIO()
    presentation.save(out)
    return out.getvalue()


def _titled(title: str) -> Callable[[Any], None]:
    def change(slide: Any) -> None:
        slide.shapes.title.text = title

    return change


def test_the_title_comes_first_and_slides_in_their_order(read: Read) -> None:
    def second(slide: Any) -> None:
        slide.shapes.add_textbox(*BOX).text_frame.text = "第一段\n第二段"
        slide.shapes.title.text = "第二页"
        title = slide.shapes.title._element
        title.getparent().append(title)

    found = only(read("a.pptx", _slides(_titled("第一页"), second)))
    assert locations(found) == [
        ("第一页", {"slide": 1}), ("第二页", {"slide": 2}), ("第一段", {"slide": 2}), ("第二段", {"slide": 2})
    ]  # fmt: skip
    assert found.text == "第一页\n第二页\n第一段\n第二段"


def test_tables_groups_notes_and_charts(read: Read) -> None:
    def change(slide: Any) -> None:
        table = slide.shapes.add_table(2, 3, *BOX).table
        for (row, column), text in {(0, 0): "姓名", (0, 1): "电话", (1, 0): "张三", (1, 2): "急"}.items():
            table.cell(row, column).text = text
        group = slide.shapes.add_group_shape().shapes.add_group_shape()
        group.shapes.add_textbox(*BOX).text_frame.text = "组内"
        data = CategoryChartData()
        data.categories = ["一月", "二月"]
        data.add_series("销量", (4.5, 7))
        slide.shapes.add_chart(XL_CHART_TYPE.COLUMN_CLUSTERED, *BOX, data)
        slide.notes_slide.notes_text_frame.text = "备注"

    found = only(read("a.pptx", _slides(change)))
    assert found.text == "姓名\t电话\n张三\t\t急\n组内\n\t一月\t二月\n销量\t4.5\t7\n备注"
    where = dict(locations(found))
    assert where["急"] == {"slide": 1, "row": 2, "cell": 3}
    assert where["备注"] == {"slide": 1, "notes": True}
    assert where["销量\t4.5\t7"] == {"slide": 1, "chart": True}


def test_hidden_slides_and_shapes_are_left_out_and_named(read: Read) -> None:
    def hide(slide: Any) -> None:
        slide.shapes.title.text = "底价"
        slide._element.set("show", "0")

    def with_hidden_shape(slide: Any) -> None:
        slide.shapes.title.text = "价格"
        box = slide.shapes.add_textbox(*BOX)
        box.text_frame.text = "成本"
        box._element.nvSpPr.cNvPr.set("hidden", "1")

    data = _slides(with_hidden_shape, hide)
    found = only(read("a.pptx", data))
    assert (found.text, found.source.notes) == ("价格", ("left out: 1 hidden slide, 1 hidden shape",))
    shown = only(read("a.pptx", data, hidden=True))
    assert (shown.text, shown.source.notes) == ("价格\n成本\n底价", ())


def test_a_chart_that_is_named_again_and_again_is_shown_once(read: Read) -> None:
    def with_chart(slide: Any) -> None:
        slide.shapes.title.text = "季度"
        data = CategoryChartData()
        data.categories = ["一季度"]
        data.add_series("销量", (4.5,))
        frame = slide.shapes.add_chart(XL_CHART_TYPE.COLUMN_CLUSTERED, *BOX, data)._element
        for _ in range(3):
            frame.addnext(copy.deepcopy(frame))

    assert only(read("a.pptx", _slides(with_chart))).text.count("销量\t4.5") == 1


def test_a_presentation_holds_what_its_library_reads(read: Read) -> None:
    lines = [line for language in TEXTS.values() for text in language for line in text.splitlines() if line.strip()]

    def change(slide: Any) -> None:
        slide.shapes.title.text = lines[0]
        slide.shapes.add_textbox(*BOX).text_frame.text = "\n".join(lines[1:])
        slide.notes_slide.notes_text_frame.text = "\n".join(reversed(lines))

    data = _slides(change, _titled("尾"))
    frames = []
    for slide in pptx.Presentation(io.BytesIO(data)).slides:
        frames += [shape.text_frame.text for shape in slide.shapes if shape.has_text_frame]
        frames += [slide.notes_slide.notes_text_frame.text] if slide.has_notes_slide else []
    assert recall(only(read("a.pptx", data)).text, "".join(frames)) >= 0.99


def test_a_slide_show_and_a_strict_presentation_are_read(read: Read) -> None:
    with zipfile.ZipFile(io.BytesIO(_slides(_titled("题")))) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    kind = b"presentationml.presentation.main+xml"
    show = {name: data.replace(kind, b"presentationml.slideshow.main+xml") for name, data in members.items()}
    assert only(read("a.ppsx", zipped(show))).text == "题"
    usual, strict = b"http://schemas.openxmlformats.org/%s/2006/", b"http://purl.oclc.org/ooxml/%s/"
    for name, data in members.items():
        for each in (b"presentationml", b"officeDocument", b"drawingml"):
            data = data.replace(usual % each, strict % each)
        members[name] = data
    assert only(read("b.pptx", zipped(members))).text == "题"


def test_a_locked_presentation_opens_with_its_password_and_one_without_text_is_empty(read: Read) -> None:
    data = locked_office(_slides(_titled("题")), "secret")
    assert failure(read("a.pptx", data)).code == "locked"
    assert only(read("a.pptx", data, password="secret")).text == "题"
    assert failure(read("a.pptx", _slides())).code == "empty"
