"""How workers are laid out on machines."""

import pytest

from extractor.distributed.resources import NodeResources, WorkerLayout, lay_out
from extractor.errors import UsageError

CPU, FOUR_GPUS = NodeResources(32, 0), NodeResources(64, 4)


@pytest.mark.parametrize(
    ("nodes", "workers", "gpus", "expected"),
    [
        ([CPU], None, None, WorkerLayout(1, 32, 0)),
        ([CPU, CPU, CPU], None, None, WorkerLayout(3, 32, 0)),
        ([CPU], 4, None, WorkerLayout(4, 8, 0)),
        ([NodeResources(10, 0)] * 3, 2, None, WorkerLayout(2, 10, 0)),
        ([NodeResources(10, 0), NodeResources(4, 0)], 3, None, WorkerLayout(3, 4, 0)),
        ([FOUR_GPUS], None, None, WorkerLayout(4, 16, 1)),
        ([FOUR_GPUS, FOUR_GPUS], 6, None, WorkerLayout(6, 21, 1)),
        ([FOUR_GPUS], None, 0.5, WorkerLayout(8, 8, 0.5)),
        ([FOUR_GPUS], 2, 0, WorkerLayout(2, 32, 0)),
        ([FOUR_GPUS, CPU], None, None, WorkerLayout(4, 16, 1)),
    ],
)
def test_workers_share_what_there_is(
    nodes: list[NodeResources], workers: int | None, gpus: float | None, expected: WorkerLayout
) -> None:
    assert lay_out(nodes, workers, gpus) == expected


@pytest.mark.parametrize(
    ("nodes", "workers", "gpus", "message"),
    [
        ([NodeResources(2, 0)], 3, None, "3 workers do not fit on 2 processors"),
        ([NodeResources(2, 4)], 4, None, "4 workers do not fit"),
        ([FOUR_GPUS], 5, None, "5 workers do not fit on 64 processors.* and 4 GPUs"),
        ([CPU], None, 1, "There is no room for a worker"),
    ],
)
def test_workers_for_which_there_is_no_room_are_refused(
    nodes: list[NodeResources], workers: int | None, gpus: float | None, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        lay_out(nodes, workers, gpus)
