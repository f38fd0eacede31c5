"""The accuracy that the bundled model must reach, through the command line. Figures: `training/README.md`."""

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import ROOT, Row, Started, rows

PUBLIC = ROOT.parent / "shared" / "samples-public" / "demo-documents.jsonl"
DEV, TEST = ROOT / "training" / "dev.jsonl", ROOT / "training" / "test.jsonl"
AT_LEAST = {"easy": 0.9, "medium": 0.75, "hard": 0.6}


def _extract(program: Path, samples: list[Row], folder: Path) -> Iterator[tuple[Row, Row]]:
    """Each sample with the row that the command line wrote for it."""
    for schema in sorted({sample["schema"] for sample in samples}):
        asked = {sample["id"]: sample for sample in samples if sample["schema"] == schema}
        source, output = folder / f"{schema}.jsonl", folder / f"{schema}.rows.jsonl"
        lines = [json.dumps({"id": name, "text": sample["text"]}) for name, sample in asked.items()]
        source.write_text("\n".join(lines), encoding="utf-8")
        Started(program, "run", source, "-s", schema, "-o", output, "--quiet").communicate(timeout=300)
        yield from ((asked[row["id"]], row) for row in rows(output))


def _accuracy(program: Path, samples: list[Row], folder: Path) -> dict[str, float]:
    """Share of fields with the exact value or null, by difficulty."""
    right: dict[str, int] = defaultdict(int)
    fields: dict[str, int] = defaultdict(int)
    for sample, row in _extract(program, samples, folder):
        for name, gold in sample["gold"].items():
            fields[sample["difficulty"]] += 1
            right[sample["difficulty"]] += (row["data"] or {}).get(name) == gold
    assert sum(fields.values()) == sum(len(sample["gold"]) for sample in samples)
    return {level: right[level] / count for level, count in fields.items()}


@pytest.mark.slow
@pytest.mark.parametrize("paths", [(PUBLIC,), (DEV, TEST)], ids=["public", "own"])
def test_the_demo_model_finds_most_fields_of_documents_it_has_not_seen(
    paths: tuple[Path, ...], program: Path, tmp_path: Path
) -> None:
    if not all(path.exists() for path in paths):
        pytest.skip(f"{paths[0].name} is not beside this checkout")
    samples = [json.loads(line) for path in paths for line in path.read_text("utf-8").splitlines()]
    accuracy = _accuracy(program, samples, tmp_path)
    for level, least in AT_LEAST.items():
        assert accuracy[level] >= least, accuracy
