"""What is bundled, as lines for people and as JSON for programs."""

import json

import pytest

from extractor.cli import main


def _printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(arguments) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("kind", "keys"),
    [
        ("schemas", ["name", "description", "fields"]),
        ("prompts", ["name", "prompt_hash", "first_line"]),
        ("models", ["name", "state", "summary"]),
    ],
)
def test_a_list_as_json_holds_what_its_lines_show(
    capsys: pytest.CaptureFixture[str], kind: str, keys: list[str]
) -> None:
    lines = _printed(capsys, kind, "list").splitlines()
    listed = json.loads(_printed(capsys, kind, "list", "--json"))
    assert [list(row) for row in listed] == [keys] * len(lines)
    assert [row["name"] for row in listed] == [line.split()[0] for line in lines]
    for line, row in zip(lines, listed, strict=True):
        shown = row[keys[-1]]
        assert ("、".join(shown) if isinstance(shown, list) else shown[:80]) in line
