"""One run at a time on an output, whatever it is called."""

import os
from pathlib import Path

import pytest

from extractor.errors import OutputError, OutputLocked
from extractor.sinks import SinkOptions, open_sink
from extractor.storage.locks import locked


def test_a_lock_is_held_once_and_leaves_no_file(tmp_path: Path) -> None:
    output = str(tmp_path / "rows.jsonl")
    with locked(output):
        assert [path.name for path in tmp_path.iterdir()] == ["rows.jsonl.lock"]
        with (
            pytest.raises(OutputLocked, match=r"Another run is writing .*rows\.jsonl\. Wait .* another -o"),
            locked(output),
        ):
            pass
    assert list(tmp_path.iterdir()) == []
    with locked(output):
        assert len(list(tmp_path.iterdir())) == 1


def test_a_lock_file_that_nobody_holds_stops_nobody(tmp_path: Path) -> None:
    output = str(tmp_path / "rows.jsonl")
    Path(f"{output}.lock").write_bytes(b"")
    with locked(output):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_link_and_what_it_leads_to_are_one_output(tmp_path: Path) -> None:
    output, link = tmp_path / "rows.jsonl", tmp_path / "link.jsonl"
    os.symlink(output, link)
    with (
        open_sink(str(output), SinkOptions("f1")),
        pytest.raises(OutputLocked),
        open_sink(str(link), SinkOptions("f1")),
    ):
        pass


def test_a_lock_that_cannot_be_had_names_the_output_and_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "rows.lock").mkdir()
    with (
        pytest.raises(OutputError, match=r"cannot be locked: .* Choose another -o"),
        locked(str(tmp_path / "rows")),
    ):
        pass
