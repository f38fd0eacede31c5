"""The time limit of a process that reads: a step starts it again where there is one, else it sets none."""

import subprocess
import sys

from extractor.readers._support import time_limit

CODE = f"""
import signal
from {time_limit.__name__} import OF_PROCESS

def left():
    return round(signal.getitimer(signal.ITIMER_REAL)[0] * 2) / 2

OF_PROCESS.restart()
print(left())
OF_PROCESS.start(500)
signal.setitimer(signal.ITIMER_REAL, 100)  # what time would have left of it
OF_PROCESS.restart()
print(left())
OF_PROCESS.stop()
OF_PROCESS.restart()
print(left())
"""


def test_a_limit_is_started_again_only_where_it_holds() -> None:
    # In a process of its own: this one's timer is that of the test.
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True, timeout=100)
    assert done.stdout.split() == ["0.0", "500.0", "0.0"]
