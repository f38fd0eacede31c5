"""The provenance of a record: how its values were parsed, decoded and grounded, and which answers were sampled."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

from extractor.data import Extraction, Json, Outcome, Prompt, Provenance, SampledAnswer, Withheld
from extractor.stages.merging.merger import Merger
from extractor.stages.merging.record_errors import groups, parts
from extractor.text.json_pointer import scalars


def provenance(
    outcomes: Sequence[Outcome], extractions: Sequence[Extraction], merger: Merger, taken_out: Sequence[Withheld]
) -> Provenance:
    """Return the provenance of the record that outcomes in document order come to."""
    prompts = [outcome.completion.prompt for outcome in outcomes]
    return Provenance(
        parsed=tuple(dict.fromkeys(extraction.parsed for extraction in extractions)),
        grounded=merger.grounded,
        withheld=tuple(taken_out),
        decoding=tuple(dict.fromkeys(each.completion.decoding for each in outcomes if each.completion.decoding)),
        unconstrained=_unconstrained(prompts),
        sampled=tuple(_sampled(prompt) for prompt in prompts if prompt.sampling.temperature > 0),
        found_in_pass=merger.passes,
        chunks=len(parts(outcomes)),
        groups=len(groups(outcomes)),
        passes=max(prompt.pass_number for prompt in prompts),
    )


def withheld(extractions: Iterable[Extraction], data: Mapping[str, Json]) -> list[Withheld]:
    """Return what was taken out of the answers, once each, without values that another chunk gave for the field."""
    present = {(scalar.field, json.dumps(scalar.value)) for scalar in scalars(data)}
    every = {json.dumps(each.as_json()): each for extraction in extractions for each in extraction.withheld}
    return [each for each in every.values() if (each.field, json.dumps(each.value)) not in present]


def _unconstrained(prompts: Sequence[Prompt]) -> tuple[str, ...]:
    """Return the fields that the grammar of an answer holds to less than the schema says."""
    return tuple(dict.fromkeys(field for prompt in prompts if prompt.constrain for field in prompt.task.unconstrained))


def _sampled(prompt: Prompt) -> SampledAnswer:
    return SampledAnswer(prompt.chunk.index, prompt.attempt, prompt.pass_number, prompt.sampling)
