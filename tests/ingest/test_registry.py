"""What a reader leaves out of its declaration has a default; what it must have is checked."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from extractor import readers
from extractor.errors import UsageError
from extractor.ingest.registry import InputFormat, distinct, formats


def _reader(**declared: Any) -> InputFormat:
    return InputFormat.of(cast(Any, SimpleNamespace(**declared)))


def test_a_reader_of_suffixes_and_a_function_is_enough() -> None:
    format = _reader(SUFFIXES=(".new", ".nw"), read=iter)
    assert (format.name, format.signatures, format.extra) == ("a .new file", (), "")
    assert [format.is_isolated, format.is_trusted, format.is_signed, format.is_plain_text] == [False] * 4
    assert format.count(cast(Any, None), cast(Any, None)) == 1


@pytest.mark.parametrize("declared", [{}, {"SUFFIXES": (".new",)}, {"read": iter}])
def test_a_module_that_is_not_a_reader_is_refused(declared: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="not a reader"):
        _reader(**declared)


def test_every_file_of_the_folder_is_a_format_with_a_name_and_suffixes_of_its_own() -> None:
    files = list(Path(readers.__file__).parent.glob("[a-z]*.py"))
    assert len(distinct()) >= len(files)
    assert len({format.name for format in distinct()}) == len(distinct())
    assert all(suffix.startswith(".") and suffix == suffix.lower() for suffix in formats())


def test_only_plain_text_is_believed_by_its_suffix_and_everything_with_a_parser_is_isolated() -> None:
    assert [format.name for format in distinct() if format.is_trusted] == ["plain text"]
    here = {format.name for format in distinct() if not format.is_isolated}
    assert here == {"plain text", "a CSV table", "a JSON file", "a JSON Lines file"}
