"""A bar on request: as many as there are, and what is not ok."""

import pytest

from extractor import Extractor
from tests.api.conftest import TEXT, Contact
from tests.documentation import ROOT


def test_a_bar_counts_the_records_and_what_is_not_ok(
    contacts: Extractor[Contact], capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(list(contacts.run([TEXT, 3, TEXT], progress=True))) == 3  # type: ignore[list-item]
    shown = capsys.readouterr().err.replace("\r", "\n").splitlines()[-1]
    assert "3/3" in shown
    assert "partial=0, failed=1" in shown


def test_a_file_of_many_documents_moves_the_end(
    contacts: Extractor[Contact], capsys: pytest.CaptureFixture[str]
) -> None:
    records = list(contacts.run([ROOT / "data/samples/contact"], progress=True))
    assert "9/9" in capsys.readouterr().err
    assert len(records) == 9


def test_an_iterator_has_no_total_and_nothing_is_shown_unasked(
    contacts: Extractor[Contact], capsys: pytest.CaptureFixture[str]
) -> None:
    list(contacts.run(iter([TEXT, TEXT]), progress=True))
    assert "2doc" in capsys.readouterr().err.replace(" ", "")
    list(contacts.run([TEXT]))
    assert capsys.readouterr().err == ""
