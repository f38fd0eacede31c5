"""An evaluation as JSON, for machines."""

from __future__ import annotations

from dataclasses import asdict

from extractor.data import Json
from extractor.evaluation.comparison import Comparison
from extractor.evaluation.evaluation import Evaluation
from extractor.evaluation.scores import NAMES, Figure, Resampling, Score


def as_json(evaluation: Evaluation, resampling: Resampling) -> dict[str, Json]:
    """Return everything that is known of a run: scores by way of matching and by field, and the calibration."""
    scores = {way: evaluation.scores(way, resampling) for way in evaluation.counts}
    fields: dict[str, Json] = {}
    for at, name in enumerate(evaluation.fields):
        fields[name] = {way: _score(found.fields[at]) for way, found in scores.items()} | _beside(evaluation, at)
    table = evaluation.calibration
    return {
        "documents": len(evaluation.ids),
        "documents_right": int(evaluation.right().all(axis=1).sum()),
        "overall": {way: {"micro": _score(found.micro), "macro": _score(found.macro)} for way, found in scores.items()},
        "fields": fields,
        "made_up": asdict(evaluation.made_up()),
        "not_scored": dict(evaluation.unscored),
        "calibration": None if table is None else asdict(table),
        "bootstrap": asdict(resampling),
    }


def wrong_as_json(evaluation: Evaluation) -> list[Json]:
    """Return every value that is wrong or missed."""
    return [
        {"id": each.id, **asdict(each.verdict), "confidence": each.confidence, "in_text": each.in_text}
        for each in evaluation.values
        if not each.verdict.right
    ]


def comparison_as_json(comparison: Comparison) -> dict[str, Json]:
    """Return a comparison of two runs."""
    return {
        "differences": {
            name: {**asdict(each), "significant": each.significant} for name, each in comparison.differences.items()
        },
        "disagreements": [asdict(each) for each in comparison.disagreements],
        "documents": comparison.documents,
    }


def _beside(evaluation: Evaluation, at: int) -> dict[str, Json]:
    """Return what is right in a field apart from its values: nulls, and whole documents."""
    nulls, right = evaluation.nulls[:, at], evaluation.right()[:, at]
    return {
        "null_accuracy": {"right": int((nulls & right).sum()), "of": int(nulls.sum())},
        "accuracy": {"right": int(right.sum()), "of": len(right)},
        "made_up": asdict(evaluation.made_up(evaluation.fields[at])),
    }


def _score(score: Score) -> dict[str, Json]:
    figures: dict[str, Figure] = {name: getattr(score, name) for name in NAMES}
    return {
        "gold": score.gold,
        "found": score.found,
        "right": score.right,
        **{name: each.value for name, each in figures.items()},
        "intervals": {name: each.interval for name, each in figures.items()},
    }
