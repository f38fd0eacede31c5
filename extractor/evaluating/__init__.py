"""Results against gold: what is right, what is missing, what is made up, and how sure that is.

    rows -> answers -> matching -> evaluation -> scores, reliability
                                       `-------> comparing (two runs)

Nothing here opens a file, prints, or knows where an answer came from.
"""

from extractor.evaluating.answers import Answer, answer
from extractor.evaluating.comparing import Comparison, compare
from extractor.evaluating.evaluation import EVERYTHING, PLACES, VALUES, Evaluation, Scope, evaluate, evaluate_all
from extractor.evaluating.scores import Resampling, Score, Scores

__all__ = [
    "EVERYTHING",
    "PLACES",
    "VALUES",
    "Answer",
    "Comparison",
    "Evaluation",
    "Resampling",
    "Scope",
    "Score",
    "Scores",
    "answer",
    "compare",
    "evaluate",
    "evaluate_all",
]
