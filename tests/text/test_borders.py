"""Where a copied value may begin and end."""

import pytest

from extractor.text.borders import Borders, pieces
from extractor.text.places import TextIndex


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("root_admin", ["root", "_", "admin"]),
        ("QQ730155826号", ["QQ", "730155826", "号"]),
        ("1,200.50元", ["1,200.50", "元"]),
        ("192.168.0.1", ["192.168.0.1"]),
        ("1.200,50 €", ["1.200,50", " ", "€"]),
        ("1'200.50", ["1'200.50"]),
        ("1\u202f200", ["1\u202f200"]),
        ("1.5,2.5", ["1.5", ",", "2.5"]),
        ("it's '99", ["it", "'", "s", " ", "'", "99"]),
        ("2024-05-03", ["2024", "-", "05", "-", "03"]),
        ("１，２００", ["１，２００"]),
        ("电话", ["电", "话"]),
        ("Ｅüж", ["Ｅüж"]),
    ],
)
def test_a_word_or_a_number_is_one_piece(text: str, expected: list[str]) -> None:
    assert list(pieces(text)) == expected
    assert "".join(pieces(text)) == text


@pytest.mark.parametrize(
    ("text", "value", "places"),
    [
        ("电话18612345678", "18612345678", [(2, 13)]),
        ("电话18612345678", "1861234", []),
        ("电话18612345678", "8612345678", []),
        ("https://a.cn", "ht", []),
        ("https://a.cn", "https", [(0, 5)]),
        ("1,200.50元", "1,200", []),
        ("1,200.50元", "200.50", []),
        ("1.200,50 €", "1.200", []),
        ("1'200", "200", []),
        ("root_admin root", "root", [(0, 4), (11, 15)]),
        ("QQ730155826", "730155826", [(2, 11)]),
    ],
)
def test_an_exact_value_begins_and_ends_at_borders(text: str, value: str, places: list[tuple[int, int]]) -> None:
    assert list(TextIndex(text).find_exact(value)) == places
    assert all(Borders(text).fit(place) for place in places)


def test_a_field_may_lift_the_borders() -> None:
    assert list(TextIndex("18612345678").find_exact("1861234", any_border=True)) == [(0, 7)]
