"""The table says what the rounds gave, and a round is a process of its own."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import contenders, openvino_model, throughput, workload
from benchmarks.bound import Rates
from benchmarks.contenders.job import Report
from benchmarks.rounds import ROOT, Bench, compare, interpreter
from benchmarks.throughput import HEAD, Limits, Row, limits

REPORT = Report(
    documents=8,
    seconds=4.0,
    ready=3.0,
    first=0.5,
    others=0.01,
    peak=3 * 2**29,
    prompt_tokens=3200,
    tokens=160,
    objects=6,
)


@pytest.fixture
def some_limits(checkpoint: Path) -> Limits:
    bench = Bench(checkpoint, checkpoint, "half")
    return limits(bench, Rates(operations=1e9, bandwidth=1e9), workload.documents(8), rows=4)


def test_a_row_shows_medians_and_the_largest_memory(some_limits: Limits) -> None:
    rounds = [REPORT, replace(REPORT, seconds=2.0, peak=2**30), replace(REPORT, seconds=8.0)]
    row = dict(zip(HEAD, Row("ours", rounds, some_limits).cells(), strict=True))
    assert row["documents/s"] == "2.00"
    assert row["of the bound"] == f"{2 / some_limits.bound(20):.0%}"
    assert (row["prompt tokens/s"], row["answer tokens/s"], row["tokens an answer"]) == ("800", "40", "20.0")
    assert (row["JSON objects"], row["first answer, s"], row["peak RSS, GiB"]) == ("75%", "0.5", "1.50")


def test_the_bound_grows_with_the_rows_and_falls_with_the_answer(some_limits: Limits) -> None:
    assert some_limits.bound(20, rows=8) > some_limits.bound(20) > some_limits.bound(40)
    assert len(some_limits.prompts) == 8
    assert some_limits.prefix > 100


def test_contenders_take_turns_in_processes_of_their_own(
    checkpoint: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.rounds.TRIES", 1)
    bench = Bench(checkpoint, checkpoint, "float32")
    reports = compare(bench, ["book-float32", "ours-verbatim"], workload.documents(2), rounds=1)
    assert [report.documents for rounds in reports.values() for report in rounds] == [2, 2]
    assert reports["ours-verbatim"][0].objects == 2
    assert all(report.ready > 0.5 for rounds in reports.values() for report in rounds)
    assert capsys.readouterr().err.count("documents/s") == 2


def test_a_contender_that_fails_ends_the_run_with_its_last_words(tmp_path: Path, checkpoint: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    for name in ("config.json", "tokenizer.model"):
        (broken / name).write_bytes((checkpoint / name).read_bytes())
    with pytest.raises(SystemExit, match="(?s)book-float32 failed.*has no weights"):
        compare(Bench(broken, broken, "float32"), ["book-float32"], workload.documents(1), rounds=1)


def test_an_engine_with_an_environment_of_its_own_runs_in_it(tmp_path: Path) -> None:
    (tmp_path / "preload.txt").write_text("libfast.so\n", "utf-8")
    bench = Bench(tmp_path, tmp_path, "half", vllm=tmp_path, openvino=tmp_path / "openvino")
    python, environment = interpreter(bench, "vllm-free")
    assert (python, environment["LD_PRELOAD"]) == (str(tmp_path / "bin" / "python"), "libfast.so")
    python, environment = interpreter(bench, "openvino-int8-schema")
    assert python == str(tmp_path / "openvino" / "bin" / "python")
    assert environment["PYTHONPATH"] == str(ROOT)
    assert environment.get("LD_PRELOAD") != "libfast.so"
    assert interpreter(bench, "ours-free")[0] == sys.executable


@pytest.mark.parametrize("engine", ["vllm", "openvino"])
def test_what_is_run_by_default_are_contenders_and_each_engine_asks_for_its_environment(
    engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = {"vllm": throughput.VLLM, "openvino": throughput.OPENVINO}[engine]
    assert set(usual) <= set(contenders.names())
    monkeypatch.setattr(sys, "argv", ["throughput", "--only", "ours-schema", usual[0]])
    with pytest.raises(SystemExit, match=rf"benchmarks/{engine}_env\.sh and name it with --{engine}"):
        throughput.main()


def test_a_model_that_is_converted_is_left_as_it_is_and_half_a_one_is_not_taken_for_it(tmp_path: Path) -> None:
    half, small = openvino_model.forms(tmp_path / "plain")
    half.with_name(f"{half.name}.part").mkdir()
    assert not openvino_model.complete(half)
    for folder in (half, small):
        folder.mkdir()
        (folder / openvino_model.MODEL).write_text("", "utf-8")
    openvino_model.convert(tmp_path / "plain")  # where anything was to be made, this would want OpenVINO
    assert [path.read_bytes() for path in sorted(tmp_path.glob(f"*/{openvino_model.MODEL}"))] == [b"", b""]
