"""A step is timed as the engine runs it, and compared with what it must read."""

from pathlib import Path

import pytest
import torch

from benchmarks import decode_step
from benchmarks.bound import Rates
from benchmarks.decode_step import Load, read_bytes
from extractor.chatglm3.model_dims import CHATGLM3_6B
from extractor.precisions import find_precision

CPU = torch.device("cpu")


def test_the_table_has_a_line_for_answers_and_one_for_prompts(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decode_step, "measure", lambda *_: ([], Rates(1e12, 1e10)))
    monkeypatch.setattr(decode_step, "ROUNDS", 2)
    for load in (Load(20, 30, 12), Load(3, 70, 0)):
        lines = list(decode_step.report(checkpoint, find_precision("half"), CPU, load))
        rows = [line for line in lines if line.startswith("| ") and line.endswith("% |")]
        assert len(rows) == 2
        assert rows[0].startswith(f"| {load.rows} answers, {load.context} tokens after {load.prefix} |")


def test_a_step_reads_all_weights_but_the_embedding_and_the_cache() -> None:
    shape, load = CHATGLM3_6B, Load(256, 400, 128)
    weights = shape.parameters - shape.table_parameters
    expected = 2 * weights + 28 * 1024 * (256 * 400 + 128)
    assert read_bytes(shape, find_precision("half"), load) == pytest.approx(expected, rel=1e-3)
    assert read_bytes(shape, find_precision("int8"), load) < read_bytes(shape, find_precision("half"), load)
