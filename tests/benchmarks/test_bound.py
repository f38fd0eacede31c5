"""The bound, against a case that was worked out by hand."""

from dataclasses import replace

import pytest

from benchmarks.bound import Rates, Work, decode_costs, documents_per_second, layer_weights, prefill_costs
from extractor.chatglm3.model_dims import ModelDims

SHAPE = ModelDims(vocab_size=10, hidden_size=4, ffn_size=3, layers=2, heads=2, groups=1, head_size=2, context=64)
WORK = Work(prompts=(3, 3), prefix=1, answer=3, rows=2)


def test_a_layer_has_the_weights_of_its_products() -> None:
    assert layer_weights(SHAPE) == 8 * 4 + 4 * 4 + 3 * 3 * 4  # queries with keys and values; output; gate, up and down


def test_prefill_reads_the_prefix_once_and_the_last_layer_for_the_last_token() -> None:
    product, attention, keys, output = 2 * 84, 4 * 4, 2 * 4 * 4, 2 * 10 * 4
    prefix = product + attention * 1 + keys
    rest = 2 * product + attention * (2 + 3) + 2 * keys
    last = product - keys + attention * 3 + output
    assert prefill_costs(SHAPE, WORK).operations == prefix + 2 * (rest + last) == 1704
    assert prefill_costs(SHAPE, WORK).bytes == 0


def test_decode_feeds_all_tokens_but_the_last_and_reads_weights_once_a_step() -> None:
    costs = decode_costs(SHAPE, WORK)
    met = 4 + 5  # the two tokens that are fed meet four and five
    assert costs.operations == 2 * (2 * (2 * 2 * 84 + 2 * 10 * 4) + 2 * 4 * 4 * met) == 2240
    weights, cached = 2 * (2 * 84 + 40), 2 * 2 * 2 * 2
    assert costs.bytes == 2 * weights + 2 * cached * met == 1120


def test_the_bound_is_operations_over_rate_plus_bytes_over_bandwidth() -> None:
    rates = Rates(operations=100, bandwidth=10)
    assert documents_per_second(SHAPE, WORK, rates) == pytest.approx(2 / (39.44 + 112))


def test_a_forced_token_costs_its_operations_and_no_step() -> None:
    plain, forced = decode_costs(SHAPE, WORK), decode_costs(SHAPE, replace(WORK, forced=1))
    assert forced.operations == plain.operations
    assert forced.bytes == plain.bytes / 2


def test_an_answer_of_one_token_is_prefill_alone() -> None:
    costs = decode_costs(SHAPE, replace(WORK, answer=1))
    assert (costs.operations, costs.bytes) == (0, 0)


def test_it_gives_the_figure_that_was_published_for_another_machine() -> None:
    shape = ModelDims(65024, 1024, 3424, layers=12, heads=8, groups=2, head_size=128, context=8192)
    rates = Rates(operations=850e9, bandwidth=70.7e9)
    work = Work(prompts=[422] * 32, prefix=139, answer=33, rows=32)
    assert documents_per_second(shape, work, rates) == pytest.approx(7.8, abs=0.1)
    assert documents_per_second(shape, replace(work, answer=1), rates) == pytest.approx(9.9, rel=0.02)
