"""Every exported C function is declared to ctypes as its prototype says, so no argument is passed as something else."""

from __future__ import annotations

import ctypes
import re
from types import ModuleType

import pytest

from extractor.kernels import amx, attention, jit, quantized
from extractor.kernels.jit import FLOAT, INT64, POINTER, SOURCES, Signature

MODULES = {"amx": amx, "attention": attention, "quantized": quantized}
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
    assert {name: len(_exported(name)) for name in MODULES} == {"amx": 4, "attention": 6, "quantized": 6}
    assert {path.stem for path in SOURCES.glob("*.c")} == set(MODULES)


@pytest.mark.parametrize("name", MODULES)
def test_the_declared_signatures_are_those_of_the_source(name: str) -> None:
    assert _exported(name) == MODULES[name].SIGNATURES


@pytest.mark.parametrize("name", MODULES)
def test_a_loaded_library_knows_its_signatures(name: str) -> None:
    module: ModuleType = MODULES[name]
    library = jit.load(name, module.SIGNATURES)
    if library is None:
        pytest.skip("this machine has no gcc, or no x86-64 processor")
    compiled = [function for function in module.SIGNATURES if hasattr(library, function)]
    assert compiled
    for function in compiled:
        declared = getattr(library, function)
        assert (tuple(declared.argtypes), declared.restype) == (
            module.SIGNATURES[function].parameters,
            module.SIGNATURES[function].result,
        )
