"""One contender, one round: load, warm up, answer, report.

python -m benchmarks.contenders NAME JOB.json REPORT.json
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import contenders
from benchmarks.contenders.job import Answer, Job, Report
from benchmarks.machine import busy_time, peak_device_memory, peak_memory, process_age


def run(name: str, job: Job) -> Report:
    """Time the answers to all questions of a job, loading and warming up not counted."""
    contender = contenders.make(name, job)
    ready = process_age()
    contender.answer(job.warm)
    began, busy, own = time.perf_counter(), busy_time(), time.process_time()
    answers = contender.answer(job.items)
    seconds = time.perf_counter() - began
    others = busy_time() - busy - (time.process_time() - own)
    return _report(answers, seconds, ready, max(0.0, others) / seconds / (os.cpu_count() or 1))


def _report(answers: Sequence[Answer], seconds: float, ready: float, others: float) -> Report:
    return Report(
        documents=len(answers),
        seconds=seconds,
        ready=ready,
        others=others,
        first=min((answer.seconds for answer in answers if answer.seconds is not None), default=None),
        peak=peak_memory(),
        device_peak=peak_device_memory(),
        prompt_tokens=sum(answer.prompt_tokens for answer in answers),
        tokens=sum(answer.tokens for answer in answers),
        objects=sum(_is_object(answer.text) for answer in answers),
    )


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


if __name__ == "__main__":
    run(sys.argv[1], Job.read(Path(sys.argv[2]))).write(Path(sys.argv[3]))
