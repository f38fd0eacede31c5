"""The measurement of strangers' schemas counts what is taken and reached, and leaves out what is not asked for."""

import json
from pathlib import Path

from click.testing import CliRunner

from benchmarks.reach import main

NUMBERS = {"type": "object", "properties": {"a": {"type": "integer"}}}


def test_schemas_and_instances_are_counted(tmp_path: Path) -> None:
    files = {
        "taken": {
            "schema": NUMBERS,
            "tests": [{"valid": True, "data": {"a": 3}}, {"valid": False, "data": {"a": "x"}}],
        },
        "beyond": {"schema": NUMBERS, "tests": [{"valid": True, "data": {"a": 3, "b": "x"}}]},
        "unreached": {"schema": NUMBERS, "tests": [{"valid": True, "data": {"a": 10.0**40}}]},
        "refused": {"schema": {"type": "object"}, "tests": [{"valid": True, "data": {}}]},
        "no-object": {"schema": {"type": "array"}, "tests": [{"valid": True, "data": []}]},
    }
    for name, given in files.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(given), "utf-8")
    (tmp_path / "broken.json").write_text("{", "utf-8")
    done = CliRunner().invoke(main, [str(tmp_path)])
    assert done.exit_code == 0, done.output
    cells = done.output.splitlines()[-1].strip("| ").split(" | ")
    assert cells[:5] == ["4", "3 (75.0%)", "4", "2 (50.0%)", "1"]
