"""One Ray with room for two workers for all tests of this folder: starting one takes seconds."""

from collections.abc import Iterator

import pytest

from extractor.distributed.resources import NodeResources, connect

pytest.importorskip("ray")


@pytest.fixture(scope="package")
def nodes() -> Iterator[list[NodeResources]]:
    with connect(None, 2) as found:
        yield found
