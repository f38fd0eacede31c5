"""The measurement of readers runs over every format, and its files are read whole."""

import pytest
from click.testing import CliRunner

from benchmarks.reading import FORMATS, command


@pytest.mark.parametrize("suffix", [".txt", ".csv", ".rtf"])
def test_a_format_is_measured_with_one_and_two_workers(suffix: str) -> None:
    done = CliRunner().invoke(command, ["--files", "1", "--kilobytes", "8", "--only", suffix])
    assert done.exit_code == 0, done.output
    row = done.output.splitlines()[-1].strip("| ").split(" | ")
    assert row[0] == f"`{suffix}`"
    assert float(row[2].replace(",", "")) > 0
    assert all(float(cell.replace(",", "")) >= 0 for cell in row[1:])  # on a busy machine less than a document a second


def test_every_format_has_a_name_of_its_own() -> None:
    assert len({name.strip() for name in FORMATS}) == len(FORMATS)
