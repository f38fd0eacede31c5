"""Which answers are sampled, and with what seed."""

from dataclasses import replace

from extractor.config import RunConfig
from extractor.data import GREEDY, Completion, Extraction, Prompt, Rejection
from extractor.stages import sampling
from tests.builders import STRING, a_chunk, a_prompt, a_task

CONFIG = RunConfig(temperature=0.5, seed=7)
FIRST = a_prompt(a_chunk("text"), a_task(a=STRING))


def _attempt(number: int) -> Prompt:
    rejection = Rejection.of(Completion(FIRST, "?"), "parse", "no")
    return replace(FIRST, rejected=(rejection,) * (number - 1))


def _pass(number: int) -> Prompt:
    return replace(FIRST, found=(Extraction(Completion(FIRST, "{}"), {}),) * (number - 1))


def _seed(prompt: Prompt, config: RunConfig = CONFIG, *, repeated: bool = False) -> int:
    sampled = sampling.assign(prompt, config, repeated=repeated).sampling
    assert sampled.temperature == config.temperature
    return sampled.seed


def test_the_first_two_attempts_are_greedy_and_later_ones_sampled() -> None:
    assert [sampling.assign(_attempt(number), CONFIG).sampling for number in (1, 2)] == [GREEDY, GREEDY]
    assert len({_seed(_attempt(number)) for number in (3, 4)}) == 2


def test_a_further_pass_is_greedy_unless_it_repeats_an_earlier_prompt() -> None:
    assert sampling.assign(_pass(2), CONFIG).sampling == GREEDY
    assert len({_seed(_pass(number), repeated=True) for number in (2, 3)}) == 2


def test_a_seed_depends_on_run_document_and_chunk_and_is_the_same_every_time() -> None:
    third = _attempt(3)
    other_document = replace(third.chunk, document=replace(third.chunk.document, id="other"))
    other_chunk = replace(third.chunk, start=2)
    seeds = {
        _seed(third),
        _seed(third, replace(CONFIG, seed=8)),
        _seed(replace(third, chunk=other_document)),
        _seed(replace(third, chunk=other_chunk)),
    }
    assert len(seeds) == 4
    assert _seed(third) == _seed(_attempt(3))
