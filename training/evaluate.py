"""Measures a model on documents with known answers: `python -m training.evaluate MODEL DOCUMENTS.jsonl`.

Greedy, in batches, with a constraint written here independently of the product's: the JSON skeleton is given, a value
is `null` or a string that stands in the (JSON-escaped) document and may still come to match the schema's pattern.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import astuple, dataclass, field
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import click
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F

from extractor.evaluation import Answer as Answered
from extractor.evaluation import evaluate
from extractor.evaluation.scores import FOUND, GOLD
from training.batches import tail
from training.model import Attention, ChatGLM, Shape, rotate
from training.prompts import ROOT, Codec, answer, render
from training.synth.documents import Answer, Asked


@dataclass(frozen=True)
class Case:
    """One document with its task and answer."""

    id: str
    text: str
    asked: tuple[Asked, ...]
    patterns: tuple[str | None, ...]
    gold: Answer
    group: str
    prompt: str = "zh"


def schema_fields(name: str) -> tuple[tuple[Asked, ...], tuple[str | None, ...]]:
    """The fields of a bundled schema and their patterns."""
    schema = json.loads((ROOT / "schemas" / f"{name}.json").read_text(encoding="utf-8"))["properties"]
    asked = tuple(Asked(k, v.get("title", ""), v.get("description", ""), v["type"]) for k, v in schema.items())
    return asked, tuple(v.get("pattern") for v in schema.values())


def cases(path: Path, prompt: str = "zh") -> list[Case]:
    """The documents of a file in the format of the public samples."""
    out = []
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        asked, patterns = schema_fields(row["schema"])
        group = f"{row['schema']} {row.get('difficulty', '')}"
        out.append(Case(row["id"], row["text"], asked, patterns, row["gold"], group, prompt))
    return out


def load(folder: Path) -> tuple[ChatGLM, Codec]:
    """An exported model, in float32."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    names = Shape.__dataclass_fields__
    model = ChatGLM(Shape(**{k: v for k, v in config.items() if k in names}))
    stored = {
        k.removeprefix("transformer.encoder."): v.float() for k, v in load_file(folder / "model.safetensors").items()
    }
    stored["word_embeddings.weight"] = stored.pop("transformer.embedding.word_embeddings.weight")
    del stored["transformer.output_layer.weight"]
    model.load_state_dict(stored)
    return model.eval(), Codec.load(folder / "tokenizer.model")


@cache
def piece_bytes(codec: Codec) -> list[bytes]:
    """The bytes that each piece stands for."""
    out = []
    for number in range(codec.pieces.get_piece_size()):
        text = codec.pieces.id_to_piece(number)
        if codec.pieces.is_byte(number):
            out.append(bytes([int(text[3:-1], 16)]))
        else:
            out.append(text.replace("▁", " ").encode() if number > 2 else b"")
    return out


@dataclass
class Walk:
    """One answer being written: the ids so far and what may follow."""

    case: Case
    codec: Codec
    ids: list[int]
    at: int = -1
    string: bytes | None = None
    values: list[str | None] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.source = _escaped(self.case.text)
        self.whole: frozenset[bytes] | None = None
        self._open()

    @property
    def done(self) -> bool:
        return self.at >= len(self.case.asked)

    def _open(self) -> None:
        """Append the skeleton up to the next value."""
        self.at += 1
        if self.done:
            return
        pattern = self.case.patterns[self.at]
        self.whole = _matches(self.case.text, pattern) if pattern else None
        key = answer({self.case.asked[self.at].name: None})[1:-5]
        if self.at:
            self.ids += tail(self.codec, ", " + key)
        else:
            self.ids += [*self.codec.encode("\n"), *self.codec.encode("{"), *tail(self.codec, key)]

    def choose(self, logits: Tensor) -> None:
        """Take the best token that is allowed."""
        null, quote = self.codec.pieces.piece_to_id("null"), self.codec.pieces.piece_to_id('"')
        if self.string is None:
            return self._begin(null, quote, logits)
        pieces = piece_bytes(self.codec)
        for token in logits[: len(pieces)].topk(400).indices.tolist():
            if token == quote and self._complete():
                return self._end(token)
            more = self.string + pieces[token]
            if pieces[token] and self._possible(more):
                self.string = more
                self.ids.append(token)
                return None
        return self._end(quote)

    def _begin(self, null: int, quote: int, logits: Tensor) -> None:
        self.scores.append(float(logits[quote] - logits[null]))
        if logits[null] >= logits[quote] or self.whole == frozenset():
            self.ids.append(null)
            self.values.append(None)
            return self._open()
        self.ids.append(quote)
        self.string = b""
        return None

    def _end(self, quote: int) -> None:
        self.ids.append(quote)
        self.values.append(_unescape(self.string or b""))
        self.string = None
        self._open()

    def _possible(self, text: bytes) -> bool:
        if self.whole is None:
            return text in self.source
        return any(value.startswith(text) for value in self.whole)

    def _complete(self) -> bool:
        return bool(self.string) and (self.whole is None or self.string in self.whole)


def _escaped(text: str) -> bytes:
    return json.dumps(text, ensure_ascii=False)[1:-1].encode()


@lru_cache(8)
def _matches(text: str, pattern: str) -> frozenset[bytes]:
    """The substrings of a text that match a pattern as a whole, as they stand in JSON."""
    compiled = re.compile(pattern.removeprefix("^").removesuffix("$"))
    spans = ((at, end) for at in range(len(text)) for end in range(at + 1, min(len(text), at + 80) + 1))
    return frozenset(_escaped(text[at:end]) for at, end in spans if compiled.fullmatch(text, at, end))


def _unescape(text: bytes) -> str:
    plain = text.decode(errors="ignore")
    try:
        return str(json.loads(f'"{plain}"'))
    except json.JSONDecodeError:
        return plain.rstrip("\\")


class Reader:
    """Reads one text step by step, keeping keys and values, so that a step costs only its new tokens."""

    def __init__(self, model: ChatGLM) -> None:
        self.model = model
        self.kept: list[tuple[Tensor, Tensor]] = []
        self.length = 0

    def read(self, ids: list[int]) -> Tensor:
        """The logits behind the last of the new tokens."""
        table = self.model.table[self.length : self.length + len(ids)]
        self.length += len(ids)
        mask = torch.ones(len(ids), self.length, dtype=torch.bool).tril(self.length - len(ids))
        x = self.model.word_embeddings(torch.tensor([ids]))
        for number, layer in enumerate(self.model.layers):
            x = x + self._attend(number, layer.self_attention, layer.input_layernorm(x), table, mask)  # type: ignore
            x = x + layer.mlp(layer.post_attention_layernorm(x))  # type: ignore[operator]
        return self.model.head(self.model.final_layernorm(x[:, -1]))[0]

    def _attend(self, number: int, attention: Attention, x: Tensor, table: Tensor, mask: Tensor) -> Tensor:
        mixed = attention.query_key_value(x).view(1, x.shape[1], -1, attention.channels)
        q, k, v = mixed.split([attention.heads, attention.groups, attention.groups], dim=2)
        q, k = rotate(q, table), rotate(k, table)
        if number < len(self.kept):
            k, v = torch.cat([self.kept[number][0], k], 1), torch.cat([self.kept[number][1], v], 1)
            self.kept[number] = (k, v)
        else:
            self.kept.append((k, v))
        q, k, v = (t.transpose(1, 2) for t in (q, k, v))
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=True)
        return attention.dense(out.transpose(1, 2).reshape(1, x.shape[1], -1))  # type: ignore[no-any-return]


@torch.inference_mode()
def answers(model: ChatGLM, codec: Codec, todo: Iterable[Case]) -> list[list[str | None]]:
    """The constrained greedy answers to string fields, in the order of the schema."""
    out = []
    for case in todo:
        walk = Walk(case, codec, codec.prompt(render(case.prompt, case.text, case.asked)))
        reader, read = Reader(model), 0
        while not walk.done:
            logits = reader.read(walk.ids[read:])
            read = len(walk.ids)
            walk.choose(logits)
        out.append(walk.values)
    return out


@dataclass(frozen=True)
class Score:
    """Fields right, fields in all, values made up, values missed."""

    right: int = 0
    total: int = 0
    made_up: int = 0
    missed: int = 0

    def __add__(self, other: Score) -> Score:
        return Score(*(mine + theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True)))

    def __str__(self) -> str:
        share = self.right / max(1, self.total)
        return f"{share:.3f} ({self.right}/{self.total}, made up {self.made_up}, missed {self.missed})"


def score(todo: list[Case], found: list[list[str | None]]) -> tuple[dict[str, Score], list[str]]:
    """Scores by group, and a line for every wrong field. Each document has its own fields, so it is judged alone."""
    scores: dict[str, Score] = {}
    wrong = []
    for case, values in zip(todo, found, strict=True):
        given = Answered(case.id, {asked.name: value for asked, value in zip(case.asked, values, strict=True)})
        judged = evaluate([Answered(case.id, case.gold)], {case.id: given})
        gold, there = judged.counts["exact"][0, :, GOLD] > 0, judged.counts["exact"][0, :, FOUND] > 0
        right = judged.right("exact")[0]
        one = Score(int(right.sum()), len(right), int((there & ~gold).sum()), int((gold & ~there).sum()))
        for name in (case.group, case.group.split()[-1], "all"):
            scores[name] = scores.get(name, Score()) + one
        wrong += [
            f"{case.id} {name}: {(given.data or {}).get(name)!r} instead of {case.gold[name]!r}"
            for name, good in zip(judged.fields, right, strict=True)
            if not good
        ]
    return scores, wrong


@click.command()
@click.argument("model", type=click.Path(path_type=Path, exists=True))
@click.argument("documents", type=click.Path(path_type=Path, exists=True), nargs=-1)
@click.option("--prompt", default="zh", show_default=True)
@click.option("--generated", default=0, help="Also this many generated documents that were not trained on, by layout.")
@click.option("--wrong/--no-wrong", default=False, help="Show every wrong field.")
def main(model: Path, documents: tuple[Path, ...], prompt: str, generated: int, wrong: bool) -> None:
    """Print field accuracy by difficulty."""
    loaded, codec = load(model)
    sets: list[list[Case]] = [cases(path, prompt) for path in documents]
    if generated:
        sets.append(held_out(generated, prompt))
    for todo in sets:
        scores, errors = score(todo, answers(loaded, codec, todo))
        for name in sorted(scores):
            click.echo(f"{name:24} {scores[name]}")
        click.echo("\n".join(errors) + "\n" if wrong else "")


def held_out(count: int, prompt: str) -> list[Case]:
    """Generated documents with string fields, from seeds that training never uses."""
    from random import Random

    from training.synth.documents import example

    out: list[Case] = []
    seen: Counter[str] = Counter()
    number = 0
    while len(out) < count:
        found = example(Random(f"held out/{number}"))
        number += 1
        if any(a.type != "string" for a in found.asked):
            continue
        seen[found.layout] += 1
        topic = "free" if found.task == "free" else "bundled"
        none: tuple[Any, ...] = (None,) * len(found.asked)
        out.append(
            Case(
                f"{found.layout}-{number}", found.text, found.asked, none, found.gold, f"{topic} {found.layout}", prompt
            )
        )
    return out


if __name__ == "__main__":
    main()
