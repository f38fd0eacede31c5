"""The loop of training ends for all workers after the same step."""

from __future__ import annotations

from pathlib import Path
from queue import Queue
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from training import train
from training.batches import Batch
from training.train import Clock, Plan, Worker, run


def test_only_the_agreed_time_ends_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker whose own clock passes the end first goes on: another one would wait for its gradients for ever."""
    agreed = iter([59.9, 60.0])
    monkeypatch.setattr(train, "agree", lambda model, clock: setattr(clock, "seconds", next(agreed)))
    monkeypatch.setattr(train, "loss_of", lambda model, batch, device: torch.zeros((), requires_grad=True))
    monkeypatch.setattr("training.train.time.monotonic", iter(range(0, 1000, 5)).__next__)  # five seconds a look
    queue: Any = Queue()
    for _ in range(3):
        queue.put(Batch(np.zeros((1, 8), dtype=np.int64), np.zeros((1, 8), dtype=np.float32)))
    model: Any = torch.nn.Linear(1, 1)
    masters: Any = SimpleNamespace(step=lambda factor: 0.0)
    clock = Clock()
    run(model, masters, Plan(tokens=1, minutes=1.0), clock, Worker(1, 2, queue, Path()))
    assert clock.steps == 2
