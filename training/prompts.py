"""From examples to token ids: the bundled prompts around a document, in ChatGLM3's chat format."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from random import Random

import sentencepiece
from jinja2 import StrictUndefined, Template
from jinja2.sandbox import ImmutableSandboxedEnvironment

from training.synth.documents import Answer, Asked, Example
from training.synth.fillers import decoy

ROOT = Path(__file__).parent.parent
SPECIAL = ["[MASK]", "[gMASK]", "[sMASK]", "sop", "eop", "<|system|>", "<|user|>", "<|assistant|>", "<|observation|>"]
STOP = 2


@cache
def template(name: str) -> Template:
    """One of the bundled prompts."""
    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False
    )
    return environment.from_string((ROOT / "prompts" / f"{name}.jinja").read_text(encoding="utf-8"))


def render(name: str, text: str, asked: tuple[Asked, ...], previous: Mapping[str, object] | None = None) -> str:
    """Return the user's turn."""
    fields = [asdict(a) for a in asked]
    out = template(name).render(document=text, fields=fields, examples=[], previous=previous, found=None)
    return out.rstrip("\n")


def answer(gold: Answer) -> str:
    """Return what the model is to write."""
    return json.dumps(gold, ensure_ascii=False)


def choose(rng: Random, example: Example) -> str:
    """Render an example with a random prompt, now and then as a second attempt."""
    name = rng.choices(["zh", "en", "book"], [70, 15, 15])[0]
    if example.layout == "book" and rng.random() < 0.4:
        name = "book"
    previous = None
    if rng.random() < 0.025:
        wrong = {k: decoy("account", rng) if rng.random() < 0.4 else v for k, v in example.gold.items()}
        key = rng.choice(list(wrong))
        error = rng.choice(["not in the document", "does not match the pattern", "is not a string", "missing"])
        previous = {"answer": answer(wrong)[: rng.choice([None, 20])], "errors": [f"/{key}: {error}"]}
    return render(name, example.text, example.asked, previous)


@dataclass(frozen=True)
class Codec:
    """The tokenizer with the chat format around it."""

    pieces: sentencepiece.SentencePieceProcessor

    @classmethod
    def load(cls, path: Path) -> Codec:
        return cls(sentencepiece.SentencePieceProcessor(model_file=str(path)))

    def special(self, name: str) -> int:
        return int(self.pieces.get_piece_size()) + SPECIAL.index(name)

    def encode(self, text: str) -> list[int]:
        return list(self.pieces.encode(text))

    def prompt(self, text: str) -> list[int]:
        """Return a user's turn and the assistant's opened."""
        head = [self.special("[gMASK]"), self.special("sop"), self.special("<|user|>")]
        return [*head, *self.encode("\n"), *self.encode(text), self.special("<|assistant|>")]

    def reply(self, text: str) -> list[int]:
        """Return the assistant's turn with its end."""
        return [*self.encode("\n"), *self.encode(text), STOP]
