"""What holds for every test: none can hang, whatever started the suite, and none fails because the machine is busy."""

import signal
from collections.abc import Generator
from typing import Any

import pytest
from hypothesis import settings

# Hypothesis' limit of 200 ms an example is wall-clock time: on a loaded machine a slow example breaks it. Tests have a
# limit of their own (pytest-timeout).
settings.register_profile("extractor", deadline=None)
settings.load_profile("extractor")

SLOW_SECONDS = 600
AGAIN_SECONDS = 20


def pytest_configure() -> None:
    """Take SIGINT as usual where the suite was started with SIGINT ignored (`nohup pytest &`).

    Tests interrupt themselves and their children, and a child inherits what is ignored.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the tests that are marked as slow more time than the limit of pyproject.toml."""
    for item in items:
        if item.get_closest_marker("slow") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(SLOW_SECONDS))


@pytest.hookimpl(wrapper=True)
def pytest_timeout_set_timer(settings: Any) -> Generator[None, Any, Any]:
    """Let the alarm repeat: the first may only lead out of a test and into `Popen.__exit__`, which waits as well."""
    result = yield
    if signal.getitimer(signal.ITIMER_REAL)[0]:
        signal.setitimer(signal.ITIMER_REAL, settings.timeout, AGAIN_SECONDS)
    return result
