"""The loop: which weights a model has after so many batches. The same seed and machine give the same weights.

What is measured, shown and saved is handed in; this module knows neither documents nor files.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer

from extractor.tuning.batches import Batch, batches
from extractor.tuning.checkpoints import State
from extractor.tuning.targets import Target
from extractor.tuning.trainable import Trainable

ALL_TOKENS = 0.1
"""What it counts that the answer is right without a constraint as well, beside the decisions."""
WARM_UP = 0.06
"""The part of the tuning in which the rate rises; then it falls to nothing."""
CLIP = 1.0
BETAS = (0.9, 0.98)
DECAY = 0.01
SAVE_SECONDS = 60.0
MEASURES = 10
"""How often it is measured about: more often would take more time than learning."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long, how fast and in which order. After `patience` measures that are no better than before it ends."""

    epochs: int
    rate: float
    batch_tokens: int
    seed: int
    patience: int


@dataclass(frozen=True)
class Hooks:
    """What is done beside learning: `measure` tells how good the model is now, `save` keeps the state."""

    measure: Callable[[], dict[str, float]]
    save: Callable[[State], None]
    on_batch: Callable[[float], None] = field(default=lambda loss: None)
    on_measure: Callable[[dict[str, float]], None] = field(default=lambda row: None)


class Trainer:
    """Trains from wherever `state` is; `targets` gives what an epoch learns from."""

    def __init__(
        self, trained: Trainable, targets: Callable[[int], Sequence[Target]], schedule: Schedule, state: State
    ) -> None:
        self.trained, self.targets, self.schedule, self.state = trained, targets, schedule, state
        self.optimizer = adam(trained, schedule.rate)
        self._first = self._batches(0)
        if state.parameters:
            trained.load(state.parameters)
            self.optimizer.load_state_dict(state.optimizer)

    @property
    def total(self) -> int:
        """About how many batches the whole tuning has: epochs of other documents may have one more or less."""
        return len(self._first) * self.schedule.epochs

    @property
    def done(self) -> int:
        """About how many of them are done."""
        return len(self._first) * self.state.epoch + self.state.batch

    def run(self, hooks: Hooks) -> None:
        """Train to the end; the best weights are in `state` then."""
        saved = time.monotonic()
        while self.state.epoch < self.schedule.epochs and not self._is_stale():
            found = self._batches(self.state.epoch)
            for batch in found[self.state.batch :]:
                hooks.on_batch(self._step(batch, len(found)))
                self.state.batch += 1
                if time.monotonic() - saved > SAVE_SECONDS:
                    self._save(hooks)
                    saved = time.monotonic()
            self._end_epoch(hooks)
            saved = time.monotonic()

    def seconds(self) -> float:
        """Return about how long learning takes, from a few batches of it that change nothing."""
        tried = self._first[:3]
        still = adam(self.trained, 0.0)
        self._learn(tried[0], still)  # warms up
        began = time.perf_counter()
        for batch in tried:
            self._learn(batch, still)
        took = time.perf_counter() - began
        every = sum(batch.tokens for batch in self._first) * self.schedule.epochs
        return took / sum(batch.tokens for batch in tried) * every

    def _batches(self, epoch: int) -> list[Batch]:
        return batches(self.targets(epoch), self.schedule.batch_tokens, self.schedule.seed, epoch)

    def _step(self, batch: Batch, count: int) -> float:
        for group in self.optimizer.param_groups:
            group["lr"] = self.schedule.rate * self._share(count)
        return self._learn(batch, self.optimizer)

    def _learn(self, batch: Batch, optimizer: Optimizer) -> float:
        with computing(self.trained):
            loss = loss_of(self.trained, batch)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.trained.parameters.values(), CLIP)
        optimizer.step()
        optimizer.zero_grad()
        return loss.item()

    def _share(self, count: int) -> float:
        """Return the rate now, of the highest one; `count` are the batches of this epoch."""
        progress = (self.state.epoch + (self.state.batch + 0.5) / count) / self.schedule.epochs
        return min(1.0, progress / WARM_UP) * min(1.0, (1 - progress) / (1 - WARM_UP))

    def _end_epoch(self, hooks: Hooks) -> None:
        state = self.state
        state.epoch, state.batch = state.epoch + 1, 0
        measured = state.epoch % max(1, self.schedule.epochs // MEASURES) == 0 or state.epoch == self.schedule.epochs
        row = {"epoch": float(state.epoch), **hooks.measure()} if measured else {}
        if row:
            if not state.best or all(score_of(row) > score_of(other) for other in state.history):
                state.best = self.trained.copy()
            state.history.append(row)
        self._save(hooks)
        if row:
            hooks.on_measure(row)

    def _is_stale(self) -> bool:
        scores = [score_of(row) for row in self.state.history]
        return bool(scores) and len(scores) - 1 - scores.index(max(scores)) >= self.schedule.patience

    def _save(self, hooks: Hooks) -> None:
        self.state.parameters, self.state.optimizer = self.trained.copy(), self.optimizer.state_dict()
        hooks.save(self.state)


def adam(trained: Trainable, rate: float) -> Optimizer:
    """Return what changes the weights; only matrices decay."""
    parameters = trained.parameters.values()
    groups = [
        {"params": [each for each in parameters if each.ndim > 1], "weight_decay": DECAY},
        {"params": [each for each in parameters if each.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([each for each in groups if each["params"]], lr=rate, betas=BETAS)


def score_of(row: dict[str, float]) -> float:
    """Return what measures are compared by: F1 where it was measured, else the loss."""
    return row.get("f1", -row["loss"])


@contextlib.contextmanager
def computing(trained: Trainable) -> Iterator[None]:
    """Compute products in the dtype of the model's machine."""
    with torch.autocast(trained.device.type, trained.dtype, enabled=trained.dtype != torch.float32):
        yield


def loss_of(trained: Trainable, batch: Batch) -> Tensor:
    """Return the loss of a batch: of the decisions among what is allowed, and a little of all tokens of the answers."""
    device = trained.device
    targets, shared = batch.targets, 0 if trained.lora else batch.shared
    ids, places = torch.zeros(len(targets), max(len(each.ids) for each in targets), dtype=torch.long), []
    for row, each in enumerate(targets):
        ids[row, : len(each.ids)] = torch.from_numpy(each.ids)
        places += [(row, at) for at in range(each.start - 1, len(each.ids) - 1)]
    rows, columns = torch.tensor(places, device=device).T
    ids = ids.to(device)
    hidden = _hidden(trained, ids, shared)[rows, columns - shared]
    logits, right = cast(nn.Module, trained.model.lm_head)(hidden).float(), ids[rows, columns + 1]
    weights = torch.cat([torch.from_numpy(each.weights) for each in targets]).to(device)
    among = _among_allowed(logits, targets)
    decisions = (functional.cross_entropy(among, right, reduction="none") * weights).sum() / weights.sum().clamp(min=1)
    return decisions + ALL_TOKENS * functional.cross_entropy(logits, right)


def _hidden(trained: Trainable, ids: Tensor, shared: int) -> Tensor:
    """Return the hidden states behind the first `shared` tokens, which are the same in all rows and computed once."""
    decoder = cast(nn.Module, trained.model.model)
    if not shared:
        return cast(Tensor, decoder(input_ids=ids, use_cache=False).last_hidden_state)
    cache = decoder(input_ids=ids[:1, :shared], use_cache=True).past_key_values
    cache.batch_repeat_interleave(len(ids))
    return cast(Tensor, decoder(input_ids=ids[:, shared:], past_key_values=cache, use_cache=True).last_hidden_state)


def _among_allowed(logits: Tensor, targets: Sequence[Target]) -> Tensor:
    """Return logits of which only those of allowed tokens are finite, where a constraint was."""
    forbidden, offset = torch.zeros(logits.shape, dtype=torch.bool), 0
    for each in targets:
        for at, allowed in each.allowed.items():
            forbidden[offset + at] = True
            forbidden[offset + at, torch.from_numpy(allowed).long()] = False
        offset += len(each.weights)
    return logits.masked_fill(forbidden.to(logits.device), float("-inf"))


@torch.no_grad()
def loss_over(trained: Trainable, targets: Sequence[Target], tokens: int) -> float:
    """Return the mean loss over targets."""
    found = batches(targets, tokens, 0, 0)
    with computing(trained):
        losses = [loss_of(trained, batch).item() * len(batch.targets) for batch in found]
    return sum(losses) / max(1, len(targets))
