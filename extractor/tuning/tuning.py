"""A tuning from gold to a folder: what `extractor tune` does, without what it prints."""

from __future__ import annotations

import hashlib
import json
import math
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from extractor import backends
from extractor.annotation_formats import AnnotatedText, Notes
from extractor.chatglm3 import ModelDims, ModelLocation, read_dims, resolve
from extractor.chatglm3.chat_tokenizer import load_tokenizer
from extractor.chatglm3.checkpoint import find_device
from extractor.config import DEFAULT_BACKEND, ModelConfig, RunConfig
from extractor.engine.constraint import Vocabulary
from extractor.errors import InputError, UsageError
from extractor.pipeline import Pipeline
from extractor.task.task import Task
from extractor.tuning import checkpoints, memory
from extractor.tuning.measuring import Measure, measure
from extractor.tuning.questions import Split, questions, shares_present, split
from extractor.tuning.targets import Target, Writer
from extractor.tuning.trainable import RANK, Trainable, load_trainable
from extractor.tuning.training import Hooks, Schedule, Trainer, loss_over
from extractor.tuning.variants import variants

SMALL = 1_000_000_000
"""Parameters up to which all weights are trained unless asked otherwise; a LoRA is above."""
PATIENCE = 4
ROUNDS = 8
"""Epochs whose documents differ; then they come again."""


@dataclass(frozen=True, slots=True)
class TuneConfig:
    """How to tune. `lora` and `rate` None: by the size of the model; `epochs` None: by how much gold there is."""

    lora: bool | None = None
    epochs: int | None = None
    rate: float | None = None
    batch_tokens: int = 2048
    held_out: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.held_out < 1:
            raise UsageError(f"The share held out is {self.held_out}; it must be between 0 and 1.")
        if min(self.epochs or 1, self.batch_tokens) < 1:
            raise UsageError("Tuning takes at least one epoch, and a batch at least one token.")


@dataclass(frozen=True, slots=True)
class Plan:
    """What a tuning would do: documents, prompts and tokens of an epoch; bytes and seconds are estimates."""

    documents: int
    held_out: int
    prompts: int
    tokens: int
    epochs: int
    parameters: int
    trained: int
    lora: bool
    rate: float
    bytes: int
    seconds: float


class Tuning:
    """A tuning of one model for one task. Making it loads the model and writes the targets; `run` trains."""

    def __init__(
        self, items: Sequence[AnnotatedText], task: Task, model: ModelConfig, config: TuneConfig, notes: Notes
    ) -> None:
        self.task, self.model, self.config = task, model, config
        self.location: ModelLocation = resolve(model.model, model.revision, model.offline, model.adapters)
        self.dims: ModelDims = read_dims(self.location.path)
        self.lora = self.dims.parameters > SMALL if config.lora is None else config.lora
        self.pipeline = Pipeline(task, backends.make(DEFAULT_BACKEND, model), RunConfig())
        self.pipeline.check()
        self.split: Split = split(items, config.held_out, config.seed)
        asked = list(questions(self.split.training, self.pipeline.prompts, notes))
        self._writer = self._make_writer(shares_present(asked))
        self._rounds = {0: replace(self._writer, notes=notes).targets(asked)}
        if not self._rounds[0]:
            raise InputError("No document of the gold has anything to ask about that fits into the context.")
        self._held_out = self._writer.targets(questions(self.split.held_out, self.pipeline.prompts, Notes()))
        self._digest = _digest(items)
        memory.check(self.needed_bytes, find_device(model.device))
        self.trained: Trainable = load_trainable(self.location, model.device, self.lora)

    def _make_writer(self, present: Mapping[str, float]) -> Writer:
        tokenizer, size = load_tokenizer(self.location.path, self.dims), self.dims.vocab_size
        return Writer(tokenizer, Vocabulary(tokenizer, size), size, self.dims.context, present, Notes())

    def targets(self, epoch: int) -> list[Target]:
        """Return what an epoch learns from: the gold itself, then variants of it, then all of them again."""
        number = epoch % ROUNDS
        if number not in self._rounds:
            others = variants(self.split.training, f"{self.config.seed}/{number}")
            self._rounds[number] = self._writer.targets(questions(others, self.pipeline.prompts, Notes()))
        return self._rounds[number]

    @property
    def needed_bytes(self) -> int:
        """About how much memory it takes."""
        longest = max(len(each.ids) for each in self.targets(0))
        tokens = max(self.config.batch_tokens, longest)
        return memory.needed_bytes(self.dims, tokens, self.lora, find_device(self.model.device))

    @property
    def epochs(self) -> int:
        """Rounds over the gold at most."""
        return self.config.epochs or usual_epochs(len(self.split.training), self.lora)

    @property
    def schedule(self) -> Schedule:
        """How long and how fast."""
        config = self.config
        rate = config.rate or usual_rate(self.dims.parameters, self.lora)
        return Schedule(self.epochs, rate, config.batch_tokens, config.seed, PATIENCE)

    @property
    def fingerprint(self) -> str:
        """What tells this tuning from another: gold, task, model and options."""
        settings = {**self.pipeline.settings, "gold": self._digest, "lora": str(self.lora)}
        text = json.dumps([settings, asdict(self.schedule), self.config.held_out], ensure_ascii=False, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def trainer(self, checkpoint: Path) -> Trainer:
        """Return what trains, from where a checkpoint is, or from the beginning. Raises OutputMismatch."""
        return Trainer(self.trained, self.targets, self.schedule, checkpoints.load(checkpoint, self.fingerprint))

    def plan(self, trainer: Trainer) -> Plan:
        """Estimate memory and time, from a few batches."""
        trained = sum(each.numel() for each in self.trained.parameters.values())
        return Plan(
            documents=len(self.split.training),
            held_out=len(self.split.held_out),
            prompts=len(self.targets(0)),
            tokens=sum(len(each.ids) for each in self.targets(0)),
            epochs=self.epochs,
            parameters=self.dims.parameters,
            trained=trained,
            lora=self.lora,
            rate=self.schedule.rate,
            bytes=self.needed_bytes,
            seconds=trainer.seconds(),
        )

    def measured(self) -> Measure:
        """Measure the model as it was, on the held-out documents."""
        return measure(self.split.held_out, self.task, self.model)

    def hooks(self, checkpoint: Path, **shown: Callable[..., None]) -> Hooks:
        """Return what is done beside learning; a large model's answers are measured at the end alone."""
        scratch = checkpoint.parent

        def now() -> dict[str, float]:
            row = {"loss": loss_over(self.trained, self._held_out, self.config.batch_tokens)}
            return row | (asdict(self.result(scratch)) if self.dims.parameters <= SMALL else {})

        return Hooks(now, lambda state: checkpoints.save(checkpoint, state), **shown)

    def result(self, scratch: Path) -> Measure:
        """Measure the model as it is now: written to a folder of its own, and asked as a run would."""
        with tempfile.TemporaryDirectory(prefix=".tune-", dir=scratch) as name:
            folder = Path(name) / "model"
            self.trained.write(folder, {})
            return measure(self.split.held_out, self.task, self.tuned(folder))

    def measured_at(self, out: Path) -> Measure:
        """Measure the result in a folder."""
        return measure(self.split.held_out, self.task, self.tuned(out))

    def usage(self, out: Path) -> str:
        """Return the options that use the result."""
        return f"-m {self.location.name} --adapter {out}" if self.lora else f"-m {out}"

    def tuned(self, folder: Path) -> ModelConfig:
        """Return how the result in a folder is used."""
        if self.lora:
            return replace(self.model, adapters=(*self.model.adapters, str(folder)))
        return replace(self.model, model=str(folder), revision=None, adapters=())

    def write(self, out: Path, trainer: Trainer, base: Measure) -> None:
        """Write the best weights as a model's folder or an adapter's, with what was measured."""
        self.trained.load(trainer.state.best)
        notes = {
            "base": self.location.name,
            "schema": self.task.name,
            "schedule": asdict(self.schedule),
            "held_out": [item.id for item in self.split.held_out],
            "before": asdict(base),
            "epochs": trainer.state.history,
        }
        self.trained.write(out, notes | ({"rank": RANK} if self.lora else {}))


def usual_epochs(documents: int, lora: bool) -> int:
    """Return the epochs that suit so much gold: the more there is, the fewer; a large model needs few in any case."""
    return min(8 if lora else 30, max(4, round(9_000 / documents)))


def usual_rate(parameters: int, lora: bool) -> float:
    """Return the rate of learning that suits a model's size: the larger, the smaller."""
    if lora:
        return min(2e-3, max(2e-4, 2e-4 * math.pow(6e9 / parameters, 0.25)))
    return min(2e-3, max(1e-5, 1e-3 * math.sqrt(7e6 / parameters)))


def _digest(items: Iterable[AnnotatedText]) -> str:
    rows = json.dumps([[item.text, item.data] for item in items], ensure_ascii=False)
    return hashlib.sha256(rows.encode("utf-8", "surrogatepass")).hexdigest()
