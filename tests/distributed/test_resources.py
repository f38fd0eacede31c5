"""How workers are laid out on machines."""

import pytest

from extractor.distributed.resources import Layout, Machine, lay_out
from extractor.errors import UsageError

CPU, FOUR_GPUS = Machine(32, 0), Machine(64, 4)


@pytest.mark.parametrize(
    ("machines", "workers", "gpus", "expected"),
    [
        ([CPU], None, None, Layout(1, 32, 0)),
        ([CPU, CPU, CPU], None, None, Layout(3, 32, 0)),
        ([CPU], 4, None, Layout(4, 8, 0)),
        ([Machine(10, 0)] * 3, 2, None, Layout(2, 10, 0)),
        ([Machine(10, 0), Machine(4, 0)], 3, None, Layout(3, 4, 0)),
        ([FOUR_GPUS], None, None, Layout(4, 16, 1)),
        ([FOUR_GPUS, FOUR_GPUS], 6, None, Layout(6, 21, 1)),
        ([FOUR_GPUS], None, 0.5, Layout(8, 8, 0.5)),
        ([FOUR_GPUS], 2, 0, Layout(2, 32, 0)),
        ([FOUR_GPUS, CPU], None, None, Layout(4, 16, 1)),
    ],
)
def test_workers_share_what_there_is(
    machines: list[Machine], workers: int | None, gpus: float | None, expected: Layout
) -> None:
    assert lay_out(machines, workers, gpus) == expected


@pytest.mark.parametrize(
    ("machines", "workers", "gpus", "message"),
    [
        ([Machine(2, 0)], 3, None, "3 workers do not fit on 2 processors"),
        ([Machine(2, 4)], 4, None, "4 workers do not fit"),
        ([FOUR_GPUS], 5, None, "5 workers do not fit on 64 processors.* and 4 GPUs"),
        ([CPU], None, 1, "There is no room for a worker"),
    ],
)
def test_workers_for_which_there_is_no_room_are_refused(
    machines: list[Machine], workers: int | None, gpus: float | None, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        lay_out(machines, workers, gpus)
