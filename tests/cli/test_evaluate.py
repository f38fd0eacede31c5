"""`evaluate` on real rows: figures that can be checked by hand, and nothing dropped silently."""

import json
from pathlib import Path

import pytest

from extractor.data import Json
from tests.cli.conftest import ROOT, Row, Run

NER = ROOT.parent / "shared" / "samples-public" / "ner.jsonl"
DOCUMENTS = {
    "ok": "手机号：13800000000，邮箱：a@b.cc",
    "wrong": "手机号：13900000000，传真 02866667777",
    "made-up": "手机号：无",
}
GOLD: dict[str, Json] = {
    "ok": {"手机号": "138 0000 0000", "邮箱": "a@b.cc"},
    "wrong": {"手机号": "13900000000", "邮箱": None},
    "made-up": {"手机号": None, "邮箱": None},
    "lost": {"手机号": "13700000000", "邮箱": None},
}
FOUND: dict[str, Json] = {
    "ok": {"手机号": "13800000000", "邮箱": "a@b.cc"},
    "wrong": {"手机号": "02866667777", "邮箱": None},
    "made-up": {"手机号": "13012345678", "邮箱": None},
    "extra": {"手机号": "1", "邮箱": None},
}


def _write(path: Path, rows: list[Row]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def results(tmp_path: Path) -> Path:
    confidence = {"ok": 0.97, "wrong": 0.55, "made-up": 0.31, "extra": 0.5}
    rows = [{"id": name, "data": data, "confidence": {"/手机号": confidence[name]}} for name, data in FOUND.items()]
    return _write(tmp_path / "results.jsonl", rows)


@pytest.fixture
def gold(tmp_path: Path) -> Path:
    return _write(tmp_path / "gold.jsonl", [{"id": name, "data": data} for name, data in GOLD.items()])


def _json(extractor: Run, *arguments: str | Path) -> Row:
    done = extractor("evaluate", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    shown: Row = json.loads(done.stdout)
    return shown


def test_the_figures_match_a_count_by_hand(extractor: Run, results: Path, gold: Path) -> None:
    """Gold has 4 values, 4 are found; of the phone numbers one is right in meaning and none to the letter."""
    shown = _json(extractor, results, gold)
    micro = shown["overall"]["normalized"]["micro"]
    assert (micro["gold"], micro["found"], micro["right"]) == (4, 4, 2)
    assert (micro["precision"], micro["recall"], micro["f1"]) == (0.5, 0.5, 0.5)
    assert shown["overall"]["exact"]["micro"]["right"] == 1
    assert shown["overall"]["normalized"]["macro"]["f1"] == pytest.approx((1 / 3 + 1) / 2)
    phone = shown["fields"]["手机号"]
    assert phone["normalized"]["precision"] == phone["normalized"]["recall"] == pytest.approx(1 / 3)
    assert phone["null_accuracy"] == {"right": 0, "of": 1}
    assert shown["fields"]["邮箱"]["null_accuracy"] == {"right": 2, "of": 3}
    assert phone["made_up"]["where_null"] == 1
    assert shown["documents_right"] == 1
    assert 0 <= micro["intervals"]["f1"][0] <= 0.5 <= micro["intervals"]["f1"][1] <= 1


def test_missing_and_extra_documents_are_named(extractor: Run, results: Path, gold: Path) -> None:
    shown = _json(extractor, results, gold)
    assert (shown["missing"], shown["extra"]) == (["lost"], ["extra"])
    text = extractor("evaluate", results, gold).stdout
    assert "1 not in the results, so nothing is found there: lost" in text
    assert "1 in the results have no gold and do not count: extra" in text
    common = _json(extractor, results, gold, "--common")
    assert (common["gold"], common["missing"]) == (3, [])
    assert common["overall"]["normalized"]["micro"]["recall"] == pytest.approx(2 / 3)


def test_every_wrong_value_is_shown_on_request(extractor: Run, results: Path, gold: Path) -> None:
    lines = extractor("evaluate", results, gold, "--wrong").stdout.splitlines()
    assert 'wrong  手机号  wrong: "02866667777"' in lines
    assert 'lost  手机号  missed: "13700000000"' in lines
    assert not any(line.startswith("ok  ") for line in lines)


def test_the_documents_are_read_again_to_find_made_up_values(tmp_path: Path, extractor: Run, gold: Path) -> None:
    documents = _write(tmp_path / "in.jsonl", [{"id": name, "text": text} for name, text in DOCUMENTS.items()])
    run = extractor("run", documents, "-s", "contact", "--backend", "scripted", "-o", "rows.jsonl", "--quiet")
    assert run.returncode == 0, run.stderr
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text("utf-8").splitlines()]
    given = _write(tmp_path / "given.jsonl", [{**row, "data": FOUND[row["id"]]} for row in rows])
    shown = _json(extractor, given, gold, "-s", "contact")
    assert shown["made_up"] == {"where_null": 1, "not_in_text": 1, "checked": 4}
    assert set(shown["fields"]) == {"手机号", "邮箱", "账号", "密码"}


def test_two_runs_are_compared_document_by_document(tmp_path: Path, extractor: Run, results: Path, gold: Path) -> None:
    better = {**FOUND, "wrong": GOLD["wrong"], "lost": GOLD["lost"]}
    other = _write(tmp_path / "other.jsonl", [{"id": name, "data": data} for name, data in better.items()])
    shown = _json(extractor, other, gold, "--compare", results)
    assert {each["id"]: each["better"] for each in shown["comparison"]["disagreements"]} == {
        "wrong": "this",
        "lost": "this",
    }
    difference = shown["comparison"]["differences"]["micro f1"]
    assert difference["value"] == pytest.approx(8 / 9 - 0.5)
    assert shown["other"]["missing"] == ["lost"]
    text = extractor("evaluate", other, gold, "--compare", results).stdout
    assert "The runs disagree on 2 of 5 documents." in text
    assert "wrong  手机号: this run is better" in text


def test_the_last_row_of_a_document_counts_and_a_torn_line_is_reported(
    tmp_path: Path, extractor: Run, gold: Path
) -> None:
    rows = [{"id": "ok", "data": {"手机号": "1"}}, {"id": "ok", "data": GOLD["ok"]}]
    results = _write(tmp_path / "results.jsonl", rows)
    results.write_text(results.read_text("utf-8") + '{"id": "wrong", "da', encoding="utf-8")
    done = extractor("evaluate", results, gold, "--json")
    shown = json.loads(done.stdout)
    assert shown["replaced"] == 1
    assert shown["overall"]["exact"]["micro"]["right"] == 2
    assert "line 3 is torn" in done.stderr


def test_the_calibration_table_helps_to_choose_a_threshold(extractor: Run, results: Path, gold: Path) -> None:
    """Confidences 0.97 (right), 0.55 and 0.31 (wrong); the mail has none."""
    table = _json(extractor, results, gold)["calibration"]
    assert (table["values"], table["without"]) == (3, 1)
    assert table["error"] == pytest.approx((0.03 + 0.55 + 0.31) / 3)
    kept = {each["threshold"]: (each["share"], each["precision"], each["recall"]) for each in table["kept"]}
    assert kept[0.6] == pytest.approx((1 / 3, 1, 1 / 4))
    assert "Confidence of 3 values (1 more have none)" in extractor("evaluate", results, gold).stdout


def test_gold_with_marked_entities_is_read_as_it_is(tmp_path: Path, extractor: Run) -> None:
    text = "王芳在上海见王芳"
    marks = [("PER", 0, 2), ("LOC", 3, 5), ("PER", 6, 8)]
    entities = [{"type": kind, "text": text[start:end], "start": start, "end": end} for kind, start, end in marks]
    gold = _write(tmp_path / "gold.jsonl", [{"id": "a", "text": text, "entities": entities, "source": "made here"}])
    row = {
        "id": "a",
        "data": {"PER": ["王芳"], "LOC": ["上"], "ORG": []},
        "spans": {"/PER/0": [[0, 2]], "/LOC/0": [[3, 4]]},
    }
    shown = _json(extractor, _write(tmp_path / "results.jsonl", [row]), gold, "-s", "ner")
    right = {way: shown["overall"][way]["micro"] for way in ("normalized", "strict", "partial")}
    assert [(each["gold"], each["found"], each["right"]) for each in right.values()] == [
        (2, 2, 1),
        (3, 2, 1),
        (3, 2, 2),
    ]
    assert shown["fields"]["ORG"]["null_accuracy"] == {"right": 1, "of": 1}


def test_the_public_samples_evaluated_against_themselves_are_all_right(tmp_path: Path, extractor: Run) -> None:
    if not NER.exists():
        pytest.skip("the public samples are not here")
    shown = _json(extractor, NER, NER, "--resamples", "20")
    gold = [json.loads(line) for line in NER.read_text("utf-8").splitlines()]
    assert shown["gold"] == shown["documents_right"] == 40
    strict = shown["overall"]["strict"]["micro"]
    assert strict["gold"] == strict["right"] == sum(len(row["entities"]) for row in gold)
    assert shown["overall"]["normalized"]["macro"]["f1"] == 1
    assert shown["made_up"]["not_in_text"] == 0


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"id": "ok", "data": {"x": "1"}}] * 2, "gold.jsonl line 2: an earlier row has the id 'ok'"),
        ([{"id": "ok"}], "gold.jsonl: ok is not an answer"),
        ([{"id": "other", "data": {"x": "1"}}], "Ids must be the same"),
    ],
)
def test_gold_that_cannot_be_used_is_a_usage_error(
    tmp_path: Path, extractor: Run, results: Path, rows: list[Row], message: str
) -> None:
    done = extractor("evaluate", results, _write(tmp_path / "gold.jsonl", rows))
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("content", "place"), [("[1, 2]\n", "item 1"), ("not json\n", "line 1")])
def test_what_is_not_a_row_is_a_usage_error_that_names_it(
    tmp_path: Path, extractor: Run, gold: Path, content: str, place: str
) -> None:
    (tmp_path / "bad.jsonl").write_text(content, encoding="utf-8")
    done = extractor("evaluate", "bad.jsonl", gold)
    assert done.returncode == 2
    assert f"bad.jsonl {place}" in done.stderr
    assert extractor("evaluate", "no-such.jsonl", gold).returncode == 2


def test_partial_and_failed_documents_are_named_and_what_a_partial_one_holds_counts(
    tmp_path: Path, extractor: Run, gold: Path
) -> None:
    rows: list[Row] = [
        {"id": "ok", "status": "partial", "data": {"手机号": None, "邮箱": "a@b.cc"}},
        {"id": "wrong", "status": "failed", "data": None},
    ]
    results = _write(tmp_path / "results.jsonl", rows)
    shown = _json(extractor, results, gold)
    assert (shown["partial"], shown["failed"]) == (["ok"], ["wrong"])
    assert shown["overall"]["exact"]["micro"]["right"] == 1
    text = extractor("evaluate", results, gold).stdout
    assert "1 partial, so only what was found there counts: ok" in text
