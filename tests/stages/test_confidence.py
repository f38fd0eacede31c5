"""The confidence of a value is the probability with which it was written."""

import math

from extractor.data import Completion, Extraction, Outcome
from extractor.stages.confidence import score
from extractor.stages.parsing import parse
from tests.builders import STRING, a_task, an_answer

TASK = a_task(姓名=STRING)


def score_answer(completion: Completion) -> Outcome:
    return score(parse(completion))


def test_confidence_is_the_probability_of_the_tokens_of_a_value() -> None:
    tokens = (
        ("\n", 0.0),
        ('{"a": ', -9.0),
        ('"x', math.log(0.5)),
        ('y",', math.log(0.5)),
        (' "b":', -9.0),
        (" null}", -0.25),
    )
    outcome = score_answer(an_answer('{"a": "xy", "b": null}', a_task(a=STRING, b=STRING), tokens=tokens))
    assert isinstance(outcome, Extraction)
    assert outcome.confidence == {"/a": 0.25, "/b": round(math.exp(-0.25), 4)}


def test_there_is_no_confidence_in_what_was_repaired_or_has_no_tokens() -> None:
    for answer, tokens in (
        ('{"姓名": "a",}', (('{"姓名": "a",}', -1.0),)),
        ('{"姓名": "a"}', ()),
        ('{"姓名": "a"}', (("b", -1.0),)),
    ):
        outcome = score_answer(an_answer(answer, TASK, tokens=tokens))
        assert isinstance(outcome, Extraction)
        assert outcome.confidence == {}
