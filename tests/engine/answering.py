"""Requests for the tiny reference model, the engine that answers them, and plain decoding to compare it with."""

from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch
from transformers import DynamicCache, GlmForCausalLM

from extractor.chatglm3 import Tokenizer, load_model
from extractor.chatglm3.checkpoint import load_parameters
from extractor.data import GREEDY, Sampling
from extractor.engine.constraint import Vocabulary
from extractor.engine.cuda_graphs import NewCapture
from extractor.engine.engine import Engine, Output, Request, SchedulerConfig
from extractor.engine.model_runner import ModelRunner
from extractor.task.task import Task, load_task

CHECKPOINT = Path(__file__).parent.parent / "reference" / "chatglm3-tiny"
TOKENIZER = Tokenizer(CHECKPOINT)
VOCABULARY = Vocabulary(TOKENIZER, 960)
CONTACT = load_task("contact")
CONFIG = SchedulerConfig(64, 512, 32)


@cache
def model() -> GlmForCausalLM:
    return load_model(CHECKPOINT, "float32", "cpu")


@cache
def runner() -> ModelRunner:
    return ModelRunner(load_parameters(CHECKPOINT, "float32", "cpu"))


def request(
    text: str, *, constrain: bool, max_tokens: int = 60, sampling: Sampling = GREEDY, task: Task = CONTACT
) -> Request:
    ids = TOKENIZER.chat_prompt([{"role": "user", "content": text}]) + TOKENIZER.encode("\n")
    return Request(tuple(ids), max_tokens, sampling, partial(VOCABULARY.constrain, task, text) if constrain else None)


def run(engine: Engine) -> dict[int, Output]:
    """Return the outputs of all that was added, by key."""
    answers: dict[int, Output] = {}
    while engine.busy:
        answers.update(engine.step())
    return answers


def answer_all(
    requests: Sequence[Request],
    config: SchedulerConfig = CONFIG,
    cache_bytes: int = 2**30,
    stop_ids: Sequence[int] = (),
    new_capture: NewCapture | None = None,
) -> list[Output]:
    engine = Engine(runner(), stop_ids or TOKENIZER.stop_ids, config, cache_bytes, new_capture)
    keys = [engine.add(each) for each in requests]
    answers = run(engine)
    engine.close()
    return [answers[key] for key in keys]


@torch.inference_mode()
def plain(request: Request) -> tuple[list[int], str]:
    """Return what transformers' model gives token by token, with masks and the tokens that the grammar forces."""
    constraint = request.constrain() if request.constrain else None
    ids, answer = list(request.ids), list[int]()
    cache_, read = DynamicCache(), 0
    while True:
        answer += constraint.jump_forward() if constraint else []
        if constraint and constraint.done and len(answer) <= request.max_tokens:
            return answer, "stop"
        if len(answer) >= request.max_tokens:
            return answer[: request.max_tokens], "length"
        known = ids + answer
        logits = model()(torch.tensor([known[read:]]), past_key_values=cache_).logits[0, -1]
        read = len(known)
        if constraint:
            allowed = np.unpackbits(constraint.masks().view(np.uint8), bitorder="little")[: len(logits)]
            logits = logits.masked_fill(torch.from_numpy(allowed == 0), -torch.inf)
        token = int(logits.argmax())
        if token in TOKENIZER.stop_ids or (constraint and not constraint.advance(token)):
            return answer, "stop"
        answer.append(token)
