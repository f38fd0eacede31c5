"""Every kernel and layer is tested with AMX, where the processor has it, and without."""

from __future__ import annotations

import pytest
import torch

from extractor.kernels import tiled


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(params=["with AMX", "without AMX"])
def with_and_without_amx(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a test twice on a processor with AMX: as it is, and as on one without."""
    if request.param == "without AMX":
        if not tiled.has_amx():
            pytest.skip("this machine has no AMX anyway")
        monkeypatch.setattr(tiled, "_amx", lambda: None)
