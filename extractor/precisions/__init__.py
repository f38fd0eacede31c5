"""The precisions a model can be loaded in. Each module here is one, under its file's name: `PRECISION` describes it.

    half, float16, bfloat16, float32     the dtype of weights and of what is computed
    int8, int4                           integers, quantised while loading or stored so by `models quantize`

Adding a file adds a precision (`--precision NAME`), and so does an entry point of the group `extractor.precisions` in
another installed package, which names such a module. The layer that holds its weights and multiplies by them is a
subclass of `_support.linear.LinearLayer`; `_support` has those of floats and of integers. A module imports torch inside
its functions only: the names are listed without importing any module, the byte counts without importing torch.
"""

from __future__ import annotations

import functools
import pkgutil
from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module

from extractor import plugins
from extractor.errors import UsageError
from extractor.precisions._support.precision import WORKING_BYTES, Precision, float_precision

__all__ = [
    "DEFAULT",
    "WORKING_BYTES",
    "Precision",
    "find_precision",
    "float_precision",
    "load_precisions",
    "names",
    "quantized_names",
]

DEFAULT = "half"
"""The precision if none is asked for; of a quantised checkpoint it means what is stored."""


def names() -> list[str]:
    """Return the names of all precisions, those of other packages included; none of them is imported."""
    return sorted({*_own_names(), *plugins.found(__name__)})


def load_precisions() -> Mapping[str, Precision]:
    """Return all precisions by name. Raises UsageError for a plugin that does not load."""
    return {name: _load(name) for name in names()}


def quantized_names() -> list[str]:
    """Return the names of the precisions whose weights are integers, which `models quantize` can store."""
    return [name for name, precision in load_precisions().items() if precision.quantized]


def find_precision(name: str, stored: str | None = None) -> Precision:
    """Return the precision `name`, for a checkpoint whose weights are `stored` as integers or are not (None).

    Raises UsageError for an unknown name, and for one that contradicts what is stored.
    """
    if name not in names():
        raise UsageError(f"unknown precision {name!r}: choose one of {', '.join(names())}")
    if stored is not None and name not in (DEFAULT, stored):
        raise UsageError(
            f"the model is stored in {stored} and cannot be loaded in {name}: leave --precision out, or use the "
            "original checkpoint"
        )
    return _load(stored or name)


def _own_names() -> set[str]:
    return {module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_")}


@functools.cache
def _load(name: str) -> Precision:
    """Import the module of a precision. One of ours comes before a plugin's of the same name."""
    own = name in _own_names()
    module = import_module(f"{__name__}.{name}") if own else plugins.load(plugins.found(__name__)[name])
    precision: Precision = module.PRECISION
    return replace(precision, name=name)
