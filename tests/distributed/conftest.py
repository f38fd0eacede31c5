"""One Ray with room for two workers for all tests of this folder: starting one takes seconds."""

import os
from collections.abc import Iterator

import pytest

from extractor.distributed.resources import NodeResources, connect

pytest.importorskip("ray")

# The usual limit is for machines that are lost; on this one, a worker that has died is known to be dead at once.
if "EXTRACTOR_TEST_CLUSTER" not in os.environ:
    os.environ.setdefault("RAY_timeout_ms_task_wait_for_death_info", "2000")


@pytest.fixture(scope="package")
def nodes() -> Iterator[list[NodeResources]]:
    with connect(None, 2) as found:
        yield found
