"""The small reference checkpoints, loaded as real models, and the real tokenizer if it is beside the checkout."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from extractor.chatglm3 import ChatGLM3, Tokenizer, load_model

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "tests" / "reference"
CHECKPOINTS = ("chatglm3-tiny", "chatglm3-tiny-safetensors", "chatglm3-tiny-32k")
REAL_TOKENIZER = ROOT.parent / "shared" / "reference" / "tokenizer"


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


@cache
def reference(name: str) -> dict[str, Any]:
    answers: dict[str, Any] = json.loads((REFERENCE / name / "reference.json").read_text("utf-8"))
    return answers


def messages(case: dict[str, Any]) -> list[dict[str, Any]]:
    return [*case["history"], {"role": "user", "content": case["query"]}]


@pytest.fixture(scope="session")
def tiny() -> ChatGLM3:
    folder = REFERENCE / "chatglm3-tiny"
    return ChatGLM3(load_model(folder, "float32", "cpu"), Tokenizer(folder))


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    return Tokenizer(REFERENCE / "chatglm3-tiny")


@pytest.fixture(scope="session")
def real_tokenizer() -> Tokenizer:
    if not REAL_TOKENIZER.is_dir():
        pytest.skip("the real tokenizer is not ours to redistribute and is not beside this checkout")
    return Tokenizer(REAL_TOKENIZER)
