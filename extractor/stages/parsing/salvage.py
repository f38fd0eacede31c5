"""What holds of an answer that the schema does not take, or of the beginning of one.

It counts where no better answer comes. What it lacks is named in the record, so nothing that was right is lost, and
nothing that was wrong is kept. Whether its values occur in the document, `grounding` says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from extractor.data import Extraction, Json
from extractor.task.withhold import withhold
from extractor.text.json_pointer import scalars

MISFITS = "misfits"
"""A step of parsing: items were taken out of lists, so what comes after them has other pointers than in the answer."""


def salvage(extraction: Extraction) -> Extraction | None:
    """Return an extraction without the scalars that break the schema; None where more is wrong, or nothing is left."""
    task = extraction.completion.prompt.task
    misfits = task.misfits(extraction.data)
    wrong = {scalar.pointer for scalar in scalars(extraction.data) if scalar.value is not None} & misfits
    left = withhold(extraction, dict.fromkeys(sorted(wrong), "schema"))
    if not says_something(left) or any(problem.code != "required" for problem in task.problems(left.data)):
        return None
    moved = _pointers(left.data) != _pointers(extraction.data)
    return replace(left, parsed=f"{left.parsed}+{MISFITS}") if moved else left


def says_something(extraction: Extraction) -> bool:
    """Tell whether there is any value."""
    return any(scalar.value is not None for scalar in scalars(extraction.data))


def _pointers(data: Mapping[str, Json]) -> list[str]:
    return [scalar.pointer for scalar in scalars(data)]
