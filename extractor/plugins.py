"""What other installed packages add: modules that they name as entry points of `extractor.readers`, `extractor.sinks`
or `extractor.backends`. A module of theirs has the shape of one that lies in the folder of that name."""

from __future__ import annotations

import functools
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from extractor.errors import UsageError


@functools.cache
def found(group: str) -> dict[str, EntryPoint]:
    """The entry points of a group by name, none of them imported."""
    return {point.name: point for point in sorted(entry_points(group=group), key=lambda point: point.name)}


def load(point: EntryPoint) -> Any:
    """What an entry point names. Raises UsageError where it cannot be imported: the package is broken."""
    try:
        return point.load()
    except (ImportError, AttributeError) as error:
        package = point.dist.name if point.dist else point.value
        raise UsageError(
            f"The package {package} adds {point.name!r} to {point.group}, but it does not load ({error}). "
            f"Repair it, or remove it: pip uninstall {package}"
        ) from error


def load_all(group: str) -> list[Any]:
    """All that the entry points of a group name. Raises UsageError for one that does not load."""
    return [load(point) for point in found(group).values()]
