"""Names for files inside a file: each only once, and nothing in them that leads elsewhere."""

from __future__ import annotations

import posixpath
import re

UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]+")


class UniqueNames:
    """Names that were given out; one that is taken gets a number: `photo.jpg`, `photo (2).jpg`."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def new(self, wanted: str) -> str:
        """Return a name that has not been given out before, as close to the wanted one as can be."""
        name = wanted = UNPRINTABLE.sub("_", wanted)
        number = 1
        while name in self._taken:
            number += 1
            stem, suffix = posixpath.splitext(wanted)
            name = f"{stem} ({number}){suffix}"
        self._taken.add(name)
        return name
