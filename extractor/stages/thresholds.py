"""Stage 8: values whose confidence is below a threshold are taken out of an extraction and listed beside it.

This module does not know how confidence is computed, nor whether the record may be without a value: `merging` asks the
schema.
"""

from __future__ import annotations

from functools import partial

from extractor.data import Extraction, Outcome, carry_on
from extractor.task.withhold import withhold
from extractor.text.json_pointer import scalars


def apply(outcome: Outcome, min_confidence: float) -> Outcome:
    """Withhold the values of an extraction whose confidence is below `min_confidence`.

    With any threshold above 0, a value without a confidence is withheld too: what cannot be judged does not pass.
    """
    return carry_on(outcome, partial(_apply, min_confidence=min_confidence)) if min_confidence > 0 else outcome


def _apply(extraction: Extraction, min_confidence: float) -> Extraction:
    present = (scalar.pointer for scalar in scalars(extraction.data) if scalar.value is not None)
    doubtful = [pointer for pointer in present if extraction.confidence.get(pointer, -1.0) < min_confidence]
    return withhold(extraction, dict.fromkeys(doubtful, "confidence"))
