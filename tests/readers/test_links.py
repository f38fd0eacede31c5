"""What goes beside the text of a link: its target, unless the text says it."""

import pytest

from extractor.readers._support.links import beside, target_of


@pytest.mark.parametrize(
    ("text", "target", "shown"),
    [
        ("合同", "https://a.cn/b", "(https://a.cn/b)"),
        ("官网：a.cn/b。", "https://www.a.cn/b/", ""),
        ("See A.CN/b.", "http://a.cn/b", ""),
        ("a.cn/bc", "https://a.cn/b", "(https://a.cn/b)"),
        ("x.a.cn", "https://a.cn", "(https://a.cn)"),
        ("https://a.cn/中", "https://a.cn/%E4%B8%AD", ""),
        ("a@b.cn", "mailto:a@b.cn", ""),
        ("a@b.cn", "mailto:a@b.cn?subject=x", "(mailto:a@b.cn?subject=x)"),
        ("(010) 1234-5678", "tel:01012345678", ""),
        ("", "https://a.cn", "(https://a.cn)"),
        ("x", " https://a.cn/\n1 ", "(https://a.cn/1)"),
        *((text, text, "") for text in ("/b", "#c", "javascript:d()", "data:,x", "file.pdf", "https:", "")),
    ],
)
def test_a_target_is_beside_a_text_that_does_not_say_it(text: str, target: str, shown: str) -> None:
    assert beside(text, target) == shown


def test_the_target_of_a_field_is_its_first_argument_with_the_place_in_it() -> None:
    assert target_of(' HYPERLINK "https://a.cn/b c" \\l "d" \\o "tip" ') == "https://a.cn/b c#d"
    assert target_of("hyperlink https://a.cn") == "https://a.cn"
    assert [target_of(text) for text in ('HYPERLINK \\l "x"', "PAGE", "", "HYPERLINK")] == ["", "", "", ""]
