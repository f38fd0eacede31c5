"""The fixture that reads files, for the tests of the ways around the readers."""

from tests.readers.conftest import read

__all__ = ["read"]
