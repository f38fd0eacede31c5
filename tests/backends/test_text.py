"""Text that goes to other engines stays text, and their tokens are aligned with the text that they spell."""

import pytest

from extractor.backends._support.align_tokens import align_tokens
from extractor.backends._support.escape_control_tokens import escape_control_tokens

JOINER = "\N{WORD JOINER}"
PART = "\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize(
    "text", ["", "手机号：188", "a < b | c > d", "<b>", "if x<|y: pass", "[注] <sub>", "a|>b", "<|\n|>"]
)
def test_ordinary_text_is_sent_unchanged(text: str) -> None:
    assert escape_control_tokens(text) == text


@pytest.mark.parametrize(
    "token", ["<|user|>", "<|im_start|>", "<｜User｜>", "</s>", "[/INST]", "[gMASK]", "<end_of_turn>"]
)
def test_a_control_token_in_a_document_is_broken_up_and_a_surrogate_replaced(token: str) -> None:
    sent = escape_control_tokens(f"甲{token}乙{token}\ud83d")
    assert token not in sent
    assert sent.replace(JOINER, "") == f"甲{token}乙{token}{PART}"


@pytest.mark.parametrize(
    ("text", "tokens", "pieces"),
    [
        ('{"a": 1}', ['{"', 'a": ', "1}"], ['{"', 'a": ', "1}"]),
        (' {"a": 1}', ["", "{", '"a":', "1", "}"], ["", " {", '"a":', " 1", "}"]),
        ("甲乙", [PART, PART, "甲", "乙"], ["", "", "甲", "乙"]),
        ("x甲乙", ["x", PART, PART, PART, "乙"], ["x", "", "", "", "甲乙"]),
        ("ab", ["a", "b", "</s>"], ["a", "b"]),
        ("ab", ["a", "c"], []),
        ("abc", ["a", "c"], []),
        ("ab", [], []),
        (
            '{"a": "x"}',
            ["```", "json", "\n", '{"', "a", '": "', "x", '"}', "\n", "```"],
            ['{"', "a", '": "', "x", '"}'],
        ),
        ("{1}", ["```json\n{", "1", "}\n```"], ["{", "1", "}"]),
        ("{甲}", ["```", "{", "", "", "甲", "}", "```"], ["{", "", "", "甲", "}"]),
        ("{1}", ["想", "{1}", "。", "{", "1", "}"], ["{", "1", "}"]),
        ("\n{1}\n", ["```", "{1}", "```"], ["{1}"]),
        ("{2}", ["```", "{1}", "```"], []),
    ],
)
def test_tokens_become_pieces_of_the_text_or_nothing(text: str, tokens: list[str], pieces: list[str]) -> None:
    found = align_tokens(text, [(token, -1.0) for token in tokens])
    assert [piece for piece, _ in found] == pieces
    assert "".join(pieces) in (text, text.strip(), "")
