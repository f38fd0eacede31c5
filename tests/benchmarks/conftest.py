"""One small random checkpoint for all tests of the measuring harness."""

from pathlib import Path

import pytest

from benchmarks.checkpoints import cached_checkpoint


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return cached_checkpoint(tmp_path_factory.mktemp("checkpoints"), "tiny")
