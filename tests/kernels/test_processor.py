"""The level of a processor by its flags, the switch that lowers it, and our kernels at each level that is here."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from extractor.errors import UsageError
from extractor.kernels import processor
from extractor.kernels.processor import ARCHITECTURES, Level, level, march

AVX2 = "sse4_2 avx fma avx2 f16c"
AVX512 = f"{AVX2} avx512f avx512dq avx512cd avx512bw avx512vl"
ICE_LAKE = f"{AVX512} avx512_vnni avx512_vbmi2"
PROCESSORS = {
    "sse4_2 avx": Level.BASE,
    AVX2: Level.AVX2,
    f"{AVX2} avx_vnni": Level.AVX2,
    AVX512: Level.AVX512,
    "avx512f": Level.BASE,
    ICE_LAKE: Level.VNNI,
    f"{ICE_LAKE} avx512_bf16": Level.BF16,
    f"{ICE_LAKE} avx512_bf16 amx_bf16 amx_tile amx_int8": Level.AMX,
    f"{ICE_LAKE} amx_tile": Level.VNNI,
}


@pytest.mark.parametrize("flags", PROCESSORS)
def test_the_level_follows_from_the_flags_and_the_switch_lowers_it(flags: str, monkeypatch: pytest.MonkeyPatch) -> None:
    own = PROCESSORS[flags]
    monkeypatch.setattr(processor, "facts", lambda: {"flags": flags, "model name": "P"})
    monkeypatch.delenv(processor.SWITCH, raising=False)
    assert (level(), march()) == (own, "native")
    for wanted in list(Level)[1:]:
        monkeypatch.setenv(processor.SWITCH, wanted.name.lower())
        assert level() == min(wanted, own)
        assert march() == ("native" if wanted >= own else ARCHITECTURES[wanted])
    assert processor.describe().startswith("P, ")


def test_a_level_that_is_none_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(processor.SWITCH, "sse9")
    with pytest.raises(UsageError, match="use avx2, avx512, vnni, bf16, amx"):
        level()


@pytest.mark.slow
@pytest.mark.parametrize("lower", [each for each in ARCHITECTURES if each < level()])
def test_the_kernels_do_at_a_lower_level_what_they_do_here(lower: Level) -> None:
    tests = [
        "tests/kernels/test_tiled.py",
        "tests/kernels/test_integers.py",
        "tests/engine/test_operations.py",
        "-k",
        "not hand and not without and not obstacle",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests],
        env={**os.environ, processor.SWITCH: lower.name.lower(), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
