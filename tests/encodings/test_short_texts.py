"""A few characters: decoded rightly, or refused with the candidates named, never read silently as something else."""

from __future__ import annotations

import pytest

from extractor.encodings import declared
from extractor.encodings.detect import Decoded, Undecodable, decode

UNDECLARED = {
    "gb18030": [
        "晓岚", "小薇 10:12", "王芳", "备注：无", "第1页", "气温 31℃ ±1", "①②③", "小计 ¥120.00", "合同编号 A-7",
    ],
    "big5": ["收貨地址", "聯絡人：陳大文", "電話"],
    "shift_jis": ["こんにちは", "日本語のテスト\rです\r"],
    "euc_kr": ["안녕하세요", "서울특별시 강남구"],
    "iso2022_kr": ["회의는 세 시입니다."],
    "johab": ["안녕하세요. 서울특별시 강남구", "연락처는 010-1234-5678 입니다."],
    "cp1252": [
        "Price: £7.50", "30 °C", "Straße 9", "café", "naïve", "€100",
        "Le dossier, complété, a été déposé à la préfecture.",
        "Les délais étant dépassés, la société a résilié le marché.", "Mañana pagará el señor Ibáñez.", "½ l · 10 µm",
    ],
    "cp1251": ["Привет", "Москва", "Заказ №5 готов"],
    "cp1253": ["Καλημέρα"],
    "cp1256": ["مرحبا بالعالم"],
    "cp874": ["สวัสดีครับ"],
}  # fmt: skip
UNCLEAR = {"big5": "謝謝", "euc_jp": "東京都", "cp1255": "שלום עולם"}
"""As likely in another encoding."""
WORDS = ["目前", "学校", "症状", "小雪"]
"""Whose bytes in GB18030 are well-formed UTF-8 of no language."""
EUC_TW = {
    "聯絡電話：0912345678，王小明": "f4fae1bee7d9e6e3a1a830393132333435363738a1a2c5dec4d1cdfc",
    "今天天氣很好，我們一起去公園散步吧。": "c4f4c5b2c5b2d6b4d0fec7efa1a2cabcd4afc4a1d8c4c6aac4fce3d0dfd7cae3c9c3a1a4",
    "姓名：陳大文": "ccefc7d8a1a8ddf3c4cbc5c6",
}
"""Their bytes: Python cannot encode to it."""
SIGNS = ["Wait\u2026", "£5.00", "25 °C", "It\u2019s", "café", "© 2024", "total\u00a0price", "Ø 25 mm", "½ cup",
         "§ 12", "Straße 5", "10 × 20", "±5 %", "Señor", "10 µm", "A \u2013 B"]  # fmt: skip


@pytest.mark.parametrize(("encoding", "text"), [(name, text) for name, texts in UNDECLARED.items() for text in texts])
def test_a_short_text_is_read(encoding: str, text: str) -> None:
    found = decode(text.encode(encoding))
    assert isinstance(found, Decoded), found
    assert found.text == text


@pytest.mark.parametrize(("encoding", "text"), UNCLEAR.items())
def test_what_may_be_several_things_is_refused_with_their_names(encoding: str, text: str) -> None:
    found = decode(text.encode(encoding))
    assert isinstance(found, Undecodable)
    assert encoding in found.message


@pytest.mark.parametrize("word", WORDS)
def test_a_word_that_may_be_utf8_is_refused(word: str) -> None:
    found = decode(word.encode("gb18030"))
    assert isinstance(found, Undecodable)
    assert "utf-8 or gb18030" in found.message


@pytest.mark.parametrize(("text", "data"), EUC_TW.items())
def test_euc_tw_is_read_and_believed_where_it_is_declared(text: str, data: str) -> None:
    assert decode(bytes.fromhex(data)) == Decoded(text, "euc_tw")
    assert declared.decode(bytes.fromhex(data)[-6:], "EUC-TW") == Decoded(text[-3:], "euc_tw")


@pytest.mark.parametrize("text", SIGNS)
@pytest.mark.parametrize("label", ["windows-1252", "iso-8859-1"])
def test_a_declared_encoding_wins_over_a_few_signs(text: str, label: str) -> None:
    found = declared.decode(text.encode("cp1252"), label)
    assert isinstance(found, Decoded)
    assert found.text == text


@pytest.mark.parametrize(("text", "encoding"), [("您好，附件是合同", "gbk"), ("Добрый день, коллеги", "koi8-r")])
def test_words_of_another_script_win_over_a_declaration_of_tools(text: str, encoding: str) -> None:
    found = declared.decode(text.encode(encoding), "iso-8859-1")
    assert isinstance(found, Decoded)
    assert found.text == text


@pytest.mark.parametrize("text", ["￥5", "±2", "25℃", "总计"])
def test_a_declared_chinese_encoding_wins_over_a_few_signs(text: str) -> None:
    found = declared.decode(text.encode("gbk"), "gb2312")
    assert isinstance(found, Decoded)
    assert found.text == text
