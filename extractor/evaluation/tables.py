"""An evaluation as text for people: tables of figures."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from extractor.evaluation.calibration import Calibration
from extractor.evaluation.comparison import Comparison
from extractor.evaluation.coverage import Coverage
from extractor.evaluation.evaluation import Evaluation
from extractor.evaluation.scores import Figure, Resampling, Score, Scores
from extractor.text.text_table import columns

_MOST_NAMES = 5
_MOST_LINES = 20


def coverage(known: Coverage) -> str:
    """Return a line for each thing to know before the figures."""
    lines = [f"{known.gold} documents in the gold."]
    if known.missing:
        lines.append(f"{len(known.missing)} not in the results, so nothing is found there: {_names(known.missing)}")
    if known.failed:
        lines.append(f"{len(known.failed)} without an answer, so nothing is found there: {_names(known.failed)}")
    if known.partial:
        lines.append(f"{len(known.partial)} partial, so only what was found there counts: {_names(known.partial)}")
    if known.extra:
        lines.append(f"{len(known.extra)} in the results have no gold and do not count: {_names(known.extra)}")
    if known.replaced:
        lines.append(f"{known.replaced} rows have a later row for the same document; the last one counts.")
    return "\n".join(lines)


def evaluation(found: Evaluation, resampling: Resampling) -> str:
    """Return the tables of figures of a run."""
    parts = [_values(found, resampling)]
    if "strict" in found.counts:
        parts.append(_spans(found, resampling))
    parts.append("\n".join(_notes(found)))
    table = found.calibration
    return "\n\n".join([*parts, _calibration(table)] if table else parts)


def wrong(found: Evaluation) -> str:
    """Return a line for every value that is wrong or missed."""
    lines = [
        f"{each.id}  {each.verdict.field}  {each.verdict.outcome}: {json.dumps(each.verdict.value, ensure_ascii=False)}"
        for each in found.values
        if not each.verdict.right
    ]
    return "\n".join(lines or ["No value is wrong or missed."])


def comparison(found: Comparison, name: str) -> str:
    """Return the differences, their significance, and the documents that the runs disagree on."""
    lines = [["", "difference", "95 %", "p"]]
    for figure, each in found.differences.items():
        low, high = each.interval or (0.0, 0.0)
        lines.append([figure, f"{each.value:+.3f}", f"{low:+.3f} to {high:+.3f}", f"{each.p:.3f}"])
    f1 = found.differences["micro f1"]
    verdict = "is significant" if f1.significant else "is not significant"
    head = f"Against {name}: the difference in F1 {verdict} (paired bootstrap, p = {f1.p:.3f})."
    return "\n".join([head, columns(lines, numbers=True), "", *_disagreements(found)])


def _disagreements(found: Comparison) -> Iterator[str]:
    yield f"The runs disagree on {len(found.disagreements)} of {found.documents} documents."
    words = {"this": "this run is better", "other": "the other is better", "neither": "neither is better"}
    for each in found.disagreements[:_MOST_LINES]:
        verdict = words[each.better] if each.better else "no gold"
        yield f"  {each.id}  {', '.join(each.fields) or 'one has no answer'}: {verdict}"
    if len(found.disagreements) > _MOST_LINES:
        yield f"  ... and {len(found.disagreements) - _MOST_LINES} more (--json has all)"


def _values(found: Evaluation, resampling: Resampling) -> str:
    normalized, exact = found.scores("normalized", resampling), found.scores("exact", resampling)
    lines = [
        ["field", "gold", "found", "precision", "recall", "F1", "95 %", "exact F1", "nulls", "made up", "not in text"]
    ]
    for at, field in enumerate(found.fields):
        nulls, right = found.nulls[:, at], found.right()[:, at]
        of_nulls = f"{(nulls & right).sum()}/{nulls.sum()}" if nulls.any() else "-"
        row = [field, *_score(normalized.fields[at]), _figure(exact.fields[at].f1), of_nulls]
        lines.append([*row, *_made_up(found, field)])
    of_nulls = f"{(found.nulls & found.right()).sum()}/{found.nulls.sum()}"
    lines.append(["all (micro)", *_score(normalized.micro), _figure(exact.micro.f1), of_nulls, *_made_up(found, None)])
    lines.append(["all (macro)", *_score(normalized.macro), _figure(exact.macro.f1), "", "", ""])
    return "Values with the same meaning (exact: character by character)\n" + columns(lines, numbers=True)


def _made_up(found: Evaluation, field: str | None) -> tuple[str, str]:
    made_up = found.made_up(field)
    return str(made_up.where_null), f"{made_up.not_in_text}/{made_up.checked}" if made_up.checked else "-"


def _spans(found: Evaluation, resampling: Resampling) -> str:
    strict, partial = found.scores("strict", resampling), found.scores("partial", resampling)
    lines = [["field", "gold", "found", "precision", "recall", "F1", "95 %", "overlapping: precision", "recall", "F1"]]
    for name, one, other in _in_rows(found.fields, strict, partial):
        lines.append([name, *_score(one), *map(_figure, (other.precision, other.recall, other.f1))])
    return "Spans, strict: the same characters\n" + columns(lines, numbers=True)


def _in_rows(fields: Sequence[str], one: Scores, other: Scores) -> Iterator[tuple[str, Score, Score]]:
    yield from zip(fields, one.fields, other.fields, strict=True)
    yield "all (micro)", one.micro, other.micro
    yield "all (macro)", one.macro, other.macro


def _notes(found: Evaluation) -> Iterator[str]:
    right = int(found.right().all(axis=1).sum())
    yield f"All fields are right in {right} of {len(found.ids)} documents."
    yield "made up: values where the gold has none; not in text: values that do not occur in the document."
    if found.unscored:
        names = ", ".join(f"{name} ({count})" for name, count in found.unscored.items())
        yield f"Not scored, because they do not occur in the gold: {names}. -s SCHEMA scores all of its fields."


def _calibration(table: Calibration) -> str:
    bins = [["confidence", "values", "mean", "right"]]
    for each in table.bins:
        span = f"{each.low:.1f} to {each.high:.1f}"
        bins.append([span, str(each.values), f"{each.confidence:.3f}", f"{each.accuracy:.3f}"])
    kept = [["keep from", "values kept", "precision", "recall"]]
    kept += [
        [f"{each.threshold:g}", f"{each.share:.1%}", f"{each.precision:.3f}", f"{each.recall:.3f}"]
        for each in table.kept
    ]
    without = f" ({table.without} more have none)" if table.without else ""
    head = f"Confidence of {table.values} values{without}; expected calibration error {table.error:.3f}"
    return "\n".join([head, columns(bins, numbers=True), "", columns(kept, numbers=True)])


def _score(score: Score) -> list[str]:
    rates = [_figure(score.precision), _figure(score.recall), _figure(score.f1)]
    return [str(score.gold), str(score.found), *rates, _interval(score.f1)]


def _figure(figure: Figure) -> str:
    return "-" if figure.value is None else f"{figure.value:.3f}"


def _interval(figure: Figure) -> str:
    return "-" if figure.interval is None else "{:.3f} to {:.3f}".format(*figure.interval)


def _names(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(names[:_MOST_NAMES]) + more
