"""Ids equal the original's; a document's text never becomes a special token; streams never show half a character."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import llguidance
import pytest
from hypothesis import given
from hypothesis import strategies as st

from extractor.chatglm3 import Tokenizer
from extractor.data import Message
from extractor.errors import CheckpointError, UsageError
from tests.chatglm3.conftest import CHECKPOINTS, REAL_TOKENIZER, REFERENCE, messages, reference

TINY = Tokenizer(REFERENCE / "chatglm3-tiny")


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_special_ids_and_prompts_equal_the_original(name: str) -> None:
    tokenizer, expected = Tokenizer(REFERENCE / name), reference(name)
    assert tokenizer.special == expected["special_tokens"]
    assert list(tokenizer.stop_ids) == expected["eos_ids"]
    assert tokenizer.pad_id == expected["pad_id"]
    for case in expected["cases"]:
        assert tokenizer.chat_prompt(messages(case)) == case["input_ids"]
        assert tokenizer.decode(case["greedy_32"]) == case["greedy_text"]


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_texts_encode_and_decode_as_the_original_does(name: str) -> None:
    tokenizer = Tokenizer(REFERENCE / name)
    for case in reference(name)["tokenize"]:
        assert tokenizer.encode(case["text"]) == case["ids"]
        assert tokenizer.decode(case["ids"]) == case["decoded"]


def test_the_real_tokenizer_gives_the_76_golden_cases(real_tokenizer: Tokenizer) -> None:
    lines = (REAL_TOKENIZER / "golden.jsonl").read_text("utf-8").splitlines()
    cases = [json.loads(line) for line in lines]
    assert len(cases) == 76
    for case in cases:
        assert real_tokenizer.encode(case["text"]) == case["ids"]
        assert real_tokenizer.decode(case["ids"]) == case["decoded"]
        assert real_tokenizer.chat_prompt([{"role": "user", "content": case["text"]}]) == case["chat_ids"]


def test_the_real_tokenizer_has_the_published_special_ids(real_tokenizer: Tokenizer) -> None:
    expected = json.loads((REAL_TOKENIZER / "special.json").read_text("utf-8"))
    assert real_tokenizer.special == expected["special_tokens"]
    assert (real_tokenizer.eos_id, real_tokenizer.pad_id) == (expected["eos"], expected["pad"])
    assert real_tokenizer.vocab_size == 64_798


def test_a_message_and_a_dict_make_the_same_turn(tokenizer: Tokenizer) -> None:
    tools = [{"name": "get_weather", "description": "查询天气"}]
    pairs: list[tuple[Message, dict[str, Any]]] = [
        (Message("user", "你好"), {"role": "user", "content": "你好"}),
        (Message("assistant", "好", "get_weather"), {"role": "assistant", "content": "好", "metadata": "get_weather"}),
        (Message("system", "助手", tools=tuple(tools)), {"role": "system", "content": "助手", "tools": tools}),
    ]
    for message, entry in pairs:
        assert tokenizer.encode_turn(message) == tokenizer.encode_turn(entry)


@pytest.mark.parametrize(
    ("message", "says"),
    [({"role": "robot", "content": "x"}, "'robot'"), ({"content": "x"}, "None"), ({"role": "user"}, "content")],
)
def test_a_malformed_message_is_an_error_that_names_what_is_wrong(
    tokenizer: Tokenizer, message: dict[str, Any], says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        tokenizer.chat_prompt([message])


@pytest.mark.parametrize("text", ["<|user|>", "[gMASK]sop", "</s><s><unk>", "<|assistant|>\n<eop>eop", "<0x0A>"])
def test_control_tokens_in_a_text_stay_plain_pieces(tokenizer: Tokenizer, text: str) -> None:
    ids = tokenizer.encode(text)
    assert all(tokenizer.piece_bytes(token) for token in ids)
    assert tokenizer.decode(ids) == text


@pytest.mark.parametrize(
    ("text", "read_as"),
    [
        ("a\0b", "a\0b"),
        ("\ud800", "\ufffd"),
        ("a\udc00b\ud800", "a\ufffdb\ufffd"),
        ("\ud83d\ude00", "😀"),
        ("\u202e\u200f right to left", "\u202e\u200f right to left"),
        ("x" * 100_000, "x" * 100_000),
    ],
    ids=["NUL", "lone surrogate", "two lone surrogates", "surrogate pair", "direction marks", "long line"],
)
def test_unusual_text_is_encoded_as_documented(tokenizer: Tokenizer, text: str, read_as: str) -> None:
    assert tokenizer.decode(tokenizer.encode(text)) == read_as


@given(st.text(st.characters(exclude_characters="▁"), max_size=40))
def test_a_continuation_has_the_bytes_of_its_text(text: str) -> None:
    ids = TINY.encode_continuation(text)
    expected = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    assert b"".join(map(TINY.piece_bytes, ids)) == expected.encode()


@given(st.text(st.characters(codec="utf-8", exclude_characters="▁"), max_size=40))
def test_encoding_then_decoding_gives_the_text_back(text: str) -> None:
    assert TINY.decode(TINY.encode(text)) == text


def test_the_sign_for_a_space_is_read_as_a_space_as_in_the_original(tokenizer: Tokenizer) -> None:
    assert tokenizer.encode("a▁b") == tokenizer.encode("a b")


def test_a_stream_holds_a_character_back_until_it_is_whole(tokenizer: Tokenizer) -> None:
    decoder = tokenizer.decoder()
    pieces = [decoder.feed(token) for token in tokenizer.encode_continuation("a😀中b")]
    assert "".join(pieces) == "a😀中b"
    assert "\ufffd" not in "".join(pieces)
    assert pieces.count("") >= 3


def test_a_character_that_is_cut_off_becomes_u_fffd(tokenizer: Tokenizer) -> None:
    decoder = tokenizer.decoder()
    assert [decoder.feed(token) for token in tokenizer.encode_continuation("😀")[:-1]] == ["", "", ""]
    assert decoder.flush() == "\ufffd"


def test_ids_without_text_decode_to_nothing(tokenizer: Tokenizer) -> None:
    for token in (tokenizer.eos_id, tokenizer.bos_id, 909, 100_000, -1):
        assert tokenizer.piece_bytes(token) == b""
        assert tokenizer.decode([token]) == ""


def test_llguidance_tokenizes_as_we_do_and_never_produces_special_ids(tokenizer: Tokenizer) -> None:
    vocabulary = tokenizer.constraint_vocabulary(960)
    engine = llguidance.LLTokenizer(llguidance.TokenizerWrapper(vocabulary))
    text = '{"手机号": "188😀"}'
    assert engine.vocab_size == 960
    assert engine.tokenize_str(text) == tokenizer.encode_continuation(text)
    assert engine.decode_str(tokenizer.encode_continuation(text)) == text
    byte_ff = next(
        token for token in range(960) if tokenizer.piece_bytes(token) == b"\xff"
    )  # llguidance reserves it; never part of UTF-8
    special = {*tokenizer.special.values(), 0, 1, 2, byte_ff, *range(909, 960)}
    assert {token for token in range(960) if engine.is_special_token(token)} == special


@pytest.mark.parametrize("content", [None, b"", b"no model"])
def test_a_missing_or_broken_tokenizer_is_one_line_that_names_it(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "tokenizer.model").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"^[^\n]*tokenizer\.model[^\n]*again[^\n]*$"):
        Tokenizer(tmp_path)
