"""Every exported C function is declared to ctypes as its prototype says, so no argument is passed as something else."""

from __future__ import annotations

import ctypes
import re

import pytest

from extractor.kernels import attention, jit, tiled
from extractor.kernels.jit import FLOAT, INT64, POINTER, SOURCES, Signature

SIGNATURES = {
    "amx": tiled.AMX_SIGNATURES,
    "attention": attention.SIGNATURES,
    "integers": tiled.SIGNATURES,
    "prefill": attention.PREFILL_SIGNATURES,
    "vectors": tiled.SIGNATURES,
}
PROTOTYPE = re.compile(r"^(void|int|int64_t) (\w+)\(([^)]*)\)\s*\{", re.MULTILINE)
"""A function at the beginning of a line, without `static` or `INLINE`: the library exports it."""

RESULTS = {"void": None, "int": ctypes.c_int, "int64_t": INT64}


def _exported(name: str) -> dict[str, Signature]:
    """Return what `NAME.c` exports, what it includes among it."""
    source = (SOURCES / f"{name}.c").read_text("utf-8")
    included = [(SOURCES / header).read_text("utf-8") for header in re.findall(r'#include "(\S+)"', source)]
    return {
        function: Signature(tuple(map(_type, _parameters(parameters))), RESULTS[result])
        for text in (source, *included)
        for result, function, parameters in PROTOTYPE.findall(text)
    }


def _parameters(prototype: str) -> list[str]:
    return [] if prototype == "void" else prototype.split(",")


def _type(parameter: str) -> type:
    if "*" in parameter:
        return POINTER
    return {"int64_t": INT64, "float": FLOAT}[parameter.split()[0]]


def test_the_prototypes_are_found() -> None:
    assert {name: len(_exported(name)) for name in SIGNATURES} == {
        "amx": 4,
        "attention": 6,
        "integers": 3,
        "prefill": 1,
        "vectors": 3,
    }
    assert {path.stem for path in SOURCES.glob("*.c")} == set(SIGNATURES)


@pytest.mark.parametrize("name", SIGNATURES)
def test_the_declared_signatures_are_those_of_the_source(name: str) -> None:
    assert _exported(name) == SIGNATURES[name]


@pytest.mark.parametrize("name", SIGNATURES)
def test_a_loaded_library_knows_its_signatures(name: str) -> None:
    library = jit.load(name, SIGNATURES[name])
    if library is None:
        pytest.skip("this machine has no gcc, or no x86-64 processor")
    compiled = [function for function in SIGNATURES[name] if hasattr(library, function)]
    assert compiled
    for function in compiled:
        declared = getattr(library, function)
        assert (tuple(declared.argtypes), declared.restype) == (
            SIGNATURES[name][function].parameters,
            SIGNATURES[name][function].result,
        )
