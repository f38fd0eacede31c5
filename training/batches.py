"""A stream of training batches: examples of like length together, made by one process beside the trainers."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.queues import Queue
from pathlib import Path
from random import Random

import numpy as np
import numpy.typing as npt

from training.prompts import Codec, answer, choose
from training.synth.documents import Example, example
from training.synth.greetings import greeting

LENGTHS = (160, 192, 224, 256, 320, 384, 512, 768, 1024, 1536)
"""The padded lengths; each is one compiled program. Short turns share batches with others: alone they are forgotten."""
POOL = 3000
GREETINGS = 0.04
"""The share of examples that are a plain turn of a conversation, answered in words."""
SKELETON, DECISION, START, REST, CLOSE = 0.15, 3.0, 2.0, 1.0, 1.5
"""Weights of the loss: what the grammar forces anyway hardly counts, where a value begins counts most."""
NOTHING, NO_NUMBER = 3.5, 1.5
"""Weights of `null` for a text and for a number. Under names that it does not know, a model takes some text rather than
none, for which it has one token; of numbers each digit stands against `null`, so that it takes none too often."""


@dataclass(frozen=True)
class Batch:
    """Token ids (rows x length), and for each token how much its prediction counts (0 in prompts)."""

    ids: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float32]


@dataclass(frozen=True)
class Sample:
    """One tokenised example."""

    ids: list[int]
    weights: list[float]


def tail(codec: Codec, text: str) -> list[int]:
    """Return the pieces of a text that continues another one: without the dummy space."""
    return codec.encode("\n" + text)[2:]


def reply_weights(codec: Codec, found: Example) -> tuple[list[int], list[float]]:
    """Return the answer's ids, equal to those of the whole answer encoded at once, with the weight of each."""
    ids = codec.encode("\n")
    weights = [SKELETON] * len(ids)
    first = codec.encode("{")
    ids, weights = ids + first, weights + [SKELETON] * len(first)
    types = {asked.name: asked.type for asked in found.asked}
    for number, (name, value) in enumerate(found.gold.items()):
        key = answer({name: None})[1:-5]
        lead = tail(codec, (", " if number else "") + key)
        part = tail(codec, answer({name: value})[len(key) + 1 : -1])
        ids, weights = ids + lead + part, weights + [SKELETON] * len(lead)
        weights += _null_weights(part, types[name]) if value is None else _value_weights(part)
    end = [*tail(codec, "}"), 2]
    return ids + end, weights + [SKELETON] * len(end)


def _null_weights(part: list[int], asked: str) -> list[float]:
    return [NO_NUMBER if asked in {"integer", "number"} else NOTHING] + [REST] * (len(part) - 1)


def _value_weights(part: list[int]) -> list[float]:
    weights = [DECISION, START * 1.5, START] + [REST] * len(part)
    weights = weights[: len(part)]
    weights[-1] = CLOSE
    return weights


def sample(codec: Codec, seed: int, number: int, easy: bool) -> Sample:
    """Return the example of a seed and number."""
    rng = Random(f"train/{seed}/{number}")
    if rng.random() < GREETINGS:
        question, words = greeting(rng)
        prompt, reply = codec.prompt(question), codec.reply(words)
        return Sample(prompt + reply, [0.0] * len(prompt) + [REST] * len(reply))
    found = example(rng, easy)
    prompt = codec.prompt(choose(rng, found))
    ids, weights = reply_weights(codec, found)
    return Sample(prompt + ids, [0.0] * len(prompt) + weights)


@dataclass(frozen=True)
class Source:
    """Where batches come from: the first `easy` examples are short, a batch has about `tokens` for each worker."""

    tokenizer: Path
    seed: int
    tokens: int
    easy: int
    workers: int = 1


def batches(source: Source) -> Iterator[list[Batch]]:
    """Yield batches without end, one for each worker, of one length, so that none waits for another."""
    codec = Codec.load(source.tokenizer)
    rng = Random(f"order/{source.seed}")
    shelves: dict[int, list[Sample]] = {length: [] for length in LENGTHS}
    number = 0
    while True:
        ready: list[list[Batch]] = []
        for _ in range(POOL * source.workers):
            simple = number < source.easy or (number < 4 * source.easy and rng.random() < 0.15)
            made = sample(codec, source.seed, number, simple)
            number += 1
            length = next((n for n in LENGTHS if n >= len(made.ids)), None)
            if length is None:
                continue
            shelf = shelves[length]
            shelf.append(made)
            if len(shelf) == source.workers * max(1, source.tokens // length):
                ready.append([pad(shelf[first :: source.workers], length) for first in range(source.workers)])
                shelves[length] = []
        rng.shuffle(ready)
        yield from ready


def pad(shelf: list[Sample], length: int) -> Batch:
    """Stack samples, zeros on the right."""
    ids = np.zeros((len(shelf), length), dtype=np.int64)
    weights = np.zeros((len(shelf), length), dtype=np.float32)
    for row, made in enumerate(shelf):
        ids[row, : len(made.ids)] = made.ids
        weights[row, : len(made.ids)] = made.weights
    return Batch(ids, weights)


def _work(source: Source, queues: Sequence[Queue[Batch]]) -> None:
    for each in batches(source):
        for queue, batch in zip(queues, each, strict=True):
            queue.put(batch)


def feed(source: Source) -> list[Queue[Batch]]:
    """Start a process that makes batches, and return the queue of each worker."""
    context = multiprocessing.get_context("spawn")
    queues: list[Queue[Batch]] = [context.Queue(maxsize=60) for _ in range(source.workers)]
    context.Process(target=_work, args=(source, queues), daemon=True).start()
    return queues
