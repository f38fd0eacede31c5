"""Results against gold: what is right, what is missing, what is made up, and how sure that is.

    rows -> answers -> matching -> evaluation -> scores, reliability
                                       `-------> comparing (two runs)

Nothing here opens a file, prints, or knows where an answer came from.
"""

from extractor.evaluation.answers import Answer, answer
from extractor.evaluation.comparison import Comparison, compare
from extractor.evaluation.evaluation import EVERYTHING, PLACES, VALUES, Evaluation, Scope, evaluate, evaluate_all
from extractor.evaluation.scores import Resampling, Score, Scores

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
