"""Files that nobody means to read: hidden ones, and the litter of file managers, in folders and archives alike."""

from __future__ import annotations

JUNK = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "$recycle.bin", "system volume information"})


def is_junk(name: str) -> bool:
    """Return whether a file or folder of this name is hidden or litter."""
    return name.startswith((".", "~$")) or name.lower() in JUNK
