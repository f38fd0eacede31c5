"""`plan` counts what `run` then does, and changes nothing."""

import hashlib
import json
from pathlib import Path

import pytest

from tests.cli.conftest import SAMPLES, Run, rows


def _state(folder: Path) -> dict[str, tuple[str, int]]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns) for path in files}


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    folder.mkdir()
    (folder / "a.txt").write_text("手机号：13800000000", encoding="gb18030")
    (folder / "b.jsonl").write_text('{"text": "账号：root"}\n{"text": "邮箱：a@b.cc"}\n', encoding="utf-8")
    (folder / "long.txt").write_text("今天没有什么事。" * 900, encoding="utf-8")
    (folder / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    return folder


def test_the_plan_counts_what_the_run_then_does_and_changes_nothing(
    tmp_path: Path, extractor: Run, inbox: Path
) -> None:
    before = _state(tmp_path)
    done = extractor("plan", "inbox", "-s", "contact", "--probe", "0", "--json")
    assert done.returncode == 0, done.stderr
    assert _state(tmp_path) == before
    plan = json.loads(done.stdout)
    extractor("run", "inbox", "-s", "contact", "-o", "rows.jsonl", "--quiet", timeout=400)
    found = rows(tmp_path / "rows.jsonl")
    assert plan["documents"] == len(found) == 5
    assert plan["files"] == {".txt": 2, ".jsonl": 1, ".png": 1}
    assert plan["encodings"]["gb18030"] == 1
    assert [(each["id"], each["code"]) for each in plan["unreadable"]] == [("inbox/picture.png", "damaged")]
    chunks = {row["id"]: row["provenance"].get("chunks", 1) for row in found if row["data"] is not None}
    assert {each["id"]: each["chunks"] for each in plan["do_not_fit"]} == {"inbox/long.txt": chunks["inbox/long.txt"]}
    assert plan["prompts"] == sum(chunks.values())
    assert plan["characters"]["all"] == sum(row["source"]["chars"] or 0 for row in found)
    assert (plan["probe"], plan["seconds"]) == (None, None)


def test_the_time_is_estimated_from_a_measured_probe(tmp_path: Path, extractor: Run) -> None:
    done = extractor("plan", SAMPLES, "-s", "contact", "--json", timeout=400)
    assert done.returncode == 0, done.stderr
    plan = json.loads(done.stdout)
    measured = plan["probe"]
    assert 0 < measured["prompts"] <= plan["prompts"] == 14
    assert 0 < measured["written"] < measured["tokens"]
    assert plan["seconds"] > measured["loading"] + measured["seconds"] * 0.9
    assert list(tmp_path.iterdir()) == []
    text = extractor("plan", SAMPLES, "-s", "contact", timeout=400).stdout
    assert "Documents   14, of which 0 cannot be read" in text
    assert "Time        about" in text


def test_a_plan_needs_a_schema_that_leaves_room(extractor: Run, inbox: Path) -> None:
    done = extractor("plan", inbox, "-s", "contact", "--max-tokens", "100000")
    assert done.returncode == 2
    assert "no room for text" in done.stderr
    assert extractor("plan", "no-such-folder", "-s", "contact").returncode == 2
