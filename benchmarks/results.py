"""The file that keeps what was measured: one section for each measurement, replaced when it is made again."""

from __future__ import annotations

import re
from pathlib import Path

RESULTS = Path(__file__).parent / "RESULTS.md"


def write_section(section: str, file: Path = RESULTS) -> None:
    """Replace the section of the same title, or append it."""
    text = file.read_text("utf-8") if file.exists() else "# Measurements\n"
    title = section.splitlines()[0]
    kept = [part for part in re.split(r"(?m)^(?=## )", text) if not part.startswith(title)]
    file.write_text("\n\n".join(part.strip() for part in [*kept, section]) + "\n", "utf-8")
