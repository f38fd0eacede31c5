"""The layers of a precision are tested with AMX, where the processor has it, and without."""

from tests.kernels.conftest import _one_thread, with_and_without_amx

__all__ = ["_one_thread", "with_and_without_amx"]
