"""Results against gold: what is right, what is missing, what is made up, and how certain the figures are.

    rows -> annotations -> matching -> evaluation -> scores, calibration
                                           `-------> comparison (of two runs)

Nothing here opens a file, prints, or knows where an annotation came from.
"""

from extractor.evaluation.annotations import Annotation, read_annotation
from extractor.evaluation.comparison import Comparison, compare
from extractor.evaluation.coverage import Coverage
from extractor.evaluation.evaluation import (
    EVERYTHING,
    SPAN_MATCHES,
    VALUE_KEYS,
    Evaluation,
    Scope,
    evaluate,
    evaluate_all,
)
from extractor.evaluation.scores import Resampling, Score, Scores

__all__ = [
    "EVERYTHING",
    "SPAN_MATCHES",
    "VALUE_KEYS",
    "Annotation",
    "Comparison",
    "Coverage",
    "Evaluation",
    "Resampling",
    "Scope",
    "Score",
    "Scores",
    "compare",
    "evaluate",
    "evaluate_all",
    "read_annotation",
]
