"""Each target for some seconds, on the same examples each time; `make fuzz` goes on with others."""

import pytest
from hypothesis import HealthCheck, settings

from tests.fuzz.targets import TARGETS

EXAMPLES = {
    "answers": 400,
    "schemas": 80,
    "encodings": 300,
    "tables": 250,
    "written_tables": 200,
    "lines": 300,
    "rows": 200,
}


@pytest.mark.parametrize("name", TARGETS)
def test_it_holds_for_whatever_comes(name: str) -> None:
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large]
    limits = settings(max_examples=EXAMPLES[name], deadline=None, suppress_health_check=checks, derandomize=True)
    limits(TARGETS[name])()
