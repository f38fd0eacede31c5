"""EUC-TW: both planes against the C library's table, characters in parts, broken bytes."""

from __future__ import annotations

import codecs
import shutil
import subprocess

import pytest

from extractor.encodings import euc_tw

WORD = bytes.fromhex("c5dec4d1cdfc")
"""王小明"""


@pytest.mark.skipif(not shutil.which("iconv"), reason="needs iconv")
def test_every_character_is_that_of_the_c_library() -> None:
    table = euc_tw.characters()
    command = ["iconv", "-f", "EUC-TW", "-t", "UTF-8"]
    found = subprocess.run(command, input=b"\n".join(table), capture_output=True, check=False)
    if found.returncode:
        pytest.skip(f"this iconv lacks EUC-TW: {found.stderr.decode()}")
    assert found.stdout.decode() == "\n".join(table.values())
    assert len(table) > 19_000


def test_plane_two_and_the_long_form_of_plane_one_take_four_bytes() -> None:
    assert b"\x8e\xa2\xa1\xa1\x8e\xa1\xc5\xde!".decode("euc-tw") == "乂王!"


def test_characters_may_come_in_parts() -> None:
    decoder = codecs.getincrementaldecoder("x-euc-tw")()
    assert [decoder.decode(bytes([byte])) for byte in WORD + b"A\x8e\xa2\xa1\xa1"] == (
        ["", "王", "", "小", "", "明", "A", "", "", "", "乂"]
    )
    with pytest.raises(UnicodeDecodeError):
        decoder.decode(b"\xc5", final=True)


@pytest.mark.parametrize(
    "broken", [b"\xc5", b"\xc5 ", b"\x8e", b"\x8e\xa2\xa1", b"\x80", b"\xff\xff", b"\x8e\xaf\xa1\xa1"]
)
def test_what_is_no_character_is_an_error(broken: bytes) -> None:
    with pytest.raises(UnicodeDecodeError) as error:
        (WORD + broken).decode("euc_tw")
    assert error.value.start == 6
    assert (WORD + broken).decode("euc_tw", "replace").startswith("王小明\ufffd")


def test_it_is_for_decoding_alone() -> None:
    with pytest.raises(UnicodeEncodeError, match="only decoding"):
        "王小明".encode("euc_tw")
