"""`python -m tests.fuzz --minutes 60 [TARGET...]`: the targets in turn, each in a process of its own.

Atheris leads the search by the code that is reached, where it is installed (`pip install atheris`); else hypothesis
draws at random. What fails is printed with the made-up input; inputs that reached new code are kept in build/fuzz.
"""

from __future__ import annotations

import argparse
import importlib.util
import random
import subprocess
import sys
import time
from pathlib import Path

from hypothesis import HealthCheck, Phase, Verbosity, settings

CORPUS = Path("build/fuzz")
RSS_MIB = 4096
SEEDS, SEED_BYTES = 20, 2000


def main() -> int:
    """Run the targets, and return 1 when one failed."""
    arguments = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    arguments.add_argument("--minutes", type=float, default=60.0, help="for all targets together")
    arguments.add_argument("--alone", help=argparse.SUPPRESS)
    arguments.add_argument("targets", nargs="*")
    chosen = arguments.parse_args()
    if chosen.alone:
        return _run(chosen.alone, chosen.minutes * 60)
    names = chosen.targets or _names()
    share = chosen.minutes / len(names)
    return max([_in_process(name, share) for name in names])


def _names() -> list[str]:
    from tests.fuzz.targets import TARGETS

    return list(TARGETS)


def _in_process(name: str, minutes: float) -> int:
    started = time.monotonic()
    command = [sys.executable, "-m", "tests.fuzz", "--alone", name, "--minutes", str(minutes)]
    failed = subprocess.run(command).returncode != 0
    print(f"{name}: {'FAILED' if failed else 'held'} after {time.monotonic() - started:.0f} s", flush=True)
    return int(failed)


def _run(name: str, seconds: float) -> int:
    if importlib.util.find_spec("atheris"):
        return _led(name, seconds)
    return _at_random(name, seconds)


def _led(name: str, seconds: float) -> int:
    """Search with atheris, which ends the process."""
    import atheris

    with atheris.instrument_imports(include=["extractor"]):
        from tests.fuzz.targets import TARGETS
    corpus = CORPUS / name
    corpus.mkdir(parents=True, exist_ok=True)
    for seed in range(SEEDS):  # what hypothesis draws from: short inputs end before an example is complete
        (corpus / f"seed-{seed}").write_bytes(random.Random(seed).randbytes(SEED_BYTES))
    limits = [
        f"-max_total_time={seconds:.0f}",
        f"-rss_limit_mb={RSS_MIB}",
        "-timeout=60",
        "-verbosity=0",
        "-len_control=0",
    ]
    target = TARGETS[name].hypothesis.fuzz_one_input  # type: ignore[attr-defined]
    atheris.Setup([sys.argv[0], str(corpus), f"-artifact_prefix={corpus}/failed-", *limits], target)
    atheris.Fuzz()
    return 0


def _at_random(name: str, seconds: float) -> int:
    """Search with hypothesis, in rounds of other random numbers."""
    from tests.fuzz.targets import TARGETS

    ends = time.monotonic() + seconds
    phases = [Phase.reuse, Phase.generate, Phase.shrink]
    while time.monotonic() < ends:
        settings(
            max_examples=1000,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=phases,
            verbosity=Verbosity.quiet,
        )(TARGETS[name])()
    return 0


if __name__ == "__main__":
    sys.exit(main())
