"""Trains the demo model: `python -m training.train --help`.

The rate of learning warms up, stays, and falls to zero over the last part, measured in tokens or, where `--minutes` is
given, in time. Checkpoints hold everything, so that a run can be resumed (`--resume`).
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any

import click
import torch
from safetensors.torch import load_file, save_file
from torch import distributed
from torch.multiprocessing.spawn import spawn
from torch.nn import functional as F

from training import tokenizer
from training.batches import Batch, Source, feed, tail
from training.model import ChatGLM, Shape, checkpoint_config
from training.optimizers import Masters, Rates
from training.prompts import SPECIAL, Codec

ROOT = Path(__file__).parent.parent
ROWS = 256
"""Answer tokens are filled up to a multiple of this: each new matrix size costs a new compiled kernel."""

FINAL_NORM = "transformer.encoder.final_layernorm.weight"
EMBEDDING = "transformer.embedding.word_embeddings.weight"
TEMPERATURE = 1.25
"""What an exported model's logits are divided by, so that probabilities mean what they say (Guo et al., 2017): the last
norm's weights are, since the output layer is to stay equal to the embedding. Without it the model is too sure."""
PATIENCE = 600.0
"""Seconds without a batch after which the process that makes them is taken for dead."""
MEMORY_KEPT = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**34), "MALLOC_TOP_PAD_": str(2**28)}
"""For glibc in the workers: a step's memory is used again by the next, where fresh pages took a fifth of its time."""


@dataclass(frozen=True)
class Plan:
    """The length and the learning-rate schedule of a run."""

    tokens: int
    minutes: float | None
    warmup: int = 150
    decay: float = 0.45
    checkpoint_minutes: float = 3.0


def export(model: ChatGLM, target: Path, source: Path) -> None:
    """Write the model in the original checkpoint's layout."""
    target.mkdir(parents=True, exist_ok=True)
    original = model.original()
    original[FINAL_NORM] = original[FINAL_NORM] / TEMPERATURE
    weights = {name: value.detach().bfloat16().contiguous().cpu() for name, value in original.items()}
    save_file(weights, target / "model.safetensors", metadata={"format": "pt"})
    (target / "config.json").write_text(json.dumps(checkpoint_config(model.shape), indent=2) + "\n", encoding="utf-8")
    described = {
        "name_or_path": "demo",
        "remove_space": False,
        "do_lower_case": False,
        "tokenizer_class": "ChatGLMTokenizer",
    }
    (target / "tokenizer_config.json").write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8")
    if source.resolve() != (target / "tokenizer.model").resolve():
        (target / "tokenizer.model").write_bytes(source.read_bytes())


def rate(plan: Plan, steps: int, progress: float) -> float:
    """Return the factor on the learning rates: warm up, stay, fall linearly."""
    if steps < plan.warmup:
        return (steps + 1) / plan.warmup
    return min(1.0, max(0.0, (1.0 - progress) / plan.decay))


def begun(start: Path, pieces: Path) -> dict[str, torch.Tensor]:
    """Return an exported model's weights for a tokenizer; a piece that is new begins as the mean of its parts."""
    weights = load_file(start / "model.safetensors")
    weights[FINAL_NORM] = weights[FINAL_NORM] * TEMPERATURE
    old, new = (Codec.load(path) for path in (start / "tokenizer.model", pieces))
    rows = weights[EMBEDDING].float()
    texts = [new.pieces.id_to_piece(piece) for piece in range(new.pieces.get_piece_size())]
    carried = [rows[_parts(old, text)].mean(0) for text in texts]
    special = rows[[old.special(name) for name in SPECIAL]]
    return weights | {EMBEDDING: torch.cat([torch.stack(carried), special])}


def _parts(codec: Codec, piece: str) -> list[int]:
    """Return the ids of what a piece of another tokenizer is made of: its own where it is one of them."""
    known = codec.pieces.piece_to_id(piece)
    return [known] if codec.pieces.id_to_piece(known) == piece else tail(codec, piece)


def loss_of(model: ChatGLM, batch: Batch, device: torch.device) -> torch.Tensor:
    """Weighted cross-entropy of the answers' tokens."""
    ids = torch.from_numpy(batch.ids).to(device)
    weights = torch.from_numpy(batch.weights).to(device)[:, 1:].flatten()
    chosen = weights.nonzero().squeeze(1)
    count = len(chosen)
    chosen = F.pad(chosen, (0, -count % ROWS))
    hidden = model(ids)[:, :-1].flatten(0, 1)[chosen]
    targets = ids[:, 1:].flatten()[chosen]
    chosen_weights = weights[chosen]
    chosen_weights[count:] = 0
    parts = [each.unflatten(0, (-1, ROWS)) for each in (hidden, targets, chosen_weights)]
    return torch.stack([model.loss(*part) for part in zip(*parts, strict=True)]).sum() / chosen_weights.sum()


@dataclass
class Clock:
    """What a run has done so far, over all its parts."""

    tokens: int = 0
    steps: int = 0
    seconds: float = 0.0

    def progress(self, plan: Plan) -> float:
        if plan.minutes is not None:
            return self.seconds / (plan.minutes * 60)
        return self.tokens / plan.tokens


def save(path: Path, masters: Masters, clock: Clock) -> None:
    """Write a checkpoint whole or not at all."""
    scratch = path.with_suffix(".part")
    torch.save({"masters": masters.state(), "clock": vars(clock)}, scratch)
    scratch.replace(path)


def keep(out: Path, masters: Masters, clock: Clock, shape: Shape) -> None:
    """Checkpoint and exported model."""
    save(out / "checkpoint.pt", masters, clock)
    export(averaged(masters, shape), out / "model", out / "tokenizer.model")


def averaged(masters: Masters, shape: Shape) -> ChatGLM:
    """Return a float32 model with the moving average of the weights."""
    model = ChatGLM(shape)
    model.load_state_dict(dict(zip(masters.names, masters.mean, strict=True)), strict=False)
    return model


def agree(model: ChatGLM, clock: Clock) -> None:
    """Average the gradients and the time over all workers, which so stay equal."""
    if not distributed.is_initialized():
        return
    grads = [p.grad for p in model.parameters() if p.grad is not None]
    flat = torch.cat([g.flatten().float() for g in grads] + [torch.tensor([clock.seconds])])
    distributed.all_reduce(flat)
    flat /= distributed.get_world_size()
    clock.seconds = float(flat[-1])
    at = 0
    for grad in grads:
        grad.copy_(flat[at : at + grad.numel()].view_as(grad))
        at += grad.numel()


@dataclass(frozen=True)
class Worker:
    """One of the processes: which of how many, its batches, and where the first one writes."""

    number: int
    count: int
    queue: Queue[Batch]
    out: Path


def run(model: ChatGLM, masters: Masters, plan: Plan, clock: Clock, me: Worker) -> None:
    """Run the training loop; every worker does the same and the first one writes."""
    device = next(model.parameters()).device
    before, saved, shown = time.monotonic(), time.monotonic(), 0.0
    first, progress = clock.tokens, clock.progress(plan)
    while progress < 1.0:
        batch = me.queue.get(timeout=PATIENCE)
        loss = loss_of(model, batch, device)
        loss.backward()  # type: ignore[no-untyped-call]
        agree(model, clock)
        progress = clock.progress(plan)  # of the agreed time: all workers end after the same step
        norm = masters.step(rate(plan, clock.steps, progress))
        now = time.monotonic()
        clock.seconds, before = clock.seconds + now - before, now
        clock.tokens, clock.steps = clock.tokens + batch.ids.size * me.count, clock.steps + 1
        shown = 0.98 * shown + 0.02 * loss.item() if shown else loss.item()
        if clock.steps % 20 == 0 and me.number == 0:
            speed = (clock.tokens - first) / clock.seconds
            paced = f"{clock.steps} {clock.tokens / 1e6:.2f}M tokens {clock.seconds / 60:.1f} min {speed:.0f}/s"
            click.echo(f"{paced} loss {shown:.4f} norm {norm:.2f}")
        if now - saved > plan.checkpoint_minutes * 60 and me.number == 0:
            saved = now
            keep(me.out, masters, clock, model.shape)
    if me.number == 0:
        keep(me.out, masters, clock, model.shape)


@dataclass(frozen=True)
class Options:
    """What the command line says."""

    out: Path
    seed: int
    data_seed: int
    tokens: int
    minutes: float | None
    decay: float
    batch_tokens: int
    easy: int
    resume: Path | None
    start: Path | None
    retokenize: bool
    matrices: float
    others: float
    average: float
    compile: bool
    workers: int
    install: bool


@click.command()
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for checkpoints and the model.")
@click.option("--seed", default=1, show_default=True)
@click.option("--data-seed", default=1, show_default=True, help="Another stream of examples, for a resumed run.")
@click.option("--tokens", default=60_000_000, show_default=True, help="Length of the run.")
@click.option("--minutes", type=float, help="Length of the run by the clock instead.")
@click.option("--decay", default=0.45, show_default=True, help="The part of the run over which the rate falls.")
@click.option("--batch-tokens", default=6144, show_default=True, help="Of each worker.")
@click.option("--easy", default=12_000, show_default=True, help="Examples of the first, simple kind.")
@click.option("--resume", type=click.Path(path_type=Path, exists=True), help="A checkpoint.pt to resume from.")
@click.option("--start", type=click.Path(path_type=Path, exists=True), help="A model's folder to begin from.")
@click.option("--retokenize", is_flag=True, help="With --start: train the tokenizer anew and carry the embedding over.")
@click.option("--matrices", default=0.02, show_default=True, help="Learning rate of Muon.")
@click.option("--others", default=0.003, show_default=True, help="Learning rate of Adam.")
@click.option("--average", default=0.998, show_default=True, help="Of the moving average of the weights.")
@click.option("--compile/--no-compile", default=True, show_default=True)
@click.option("--workers", default=2, show_default=True, help="Processes of one thread each; 1 on a GPU.")
@click.option("--install", is_flag=True, help="At the end, put the model where the package has it.")
def main(**options: Any) -> None:
    """Tokenizer, data, training and export in one go."""
    chosen = Options(**options)
    chosen.out.mkdir(parents=True, exist_ok=True)
    if chosen.start and not chosen.retokenize:
        shutil.copy(chosen.start / "tokenizer.model", chosen.out)
    if not (chosen.out / "tokenizer.model").exists():
        tokenizer.train(chosen.out)
    os.environ.update(MEMORY_KEPT)
    source = Source(chosen.out / "tokenizer.model", chosen.data_seed, chosen.batch_tokens, chosen.easy, chosen.workers)
    queues = feed(source)
    if chosen.workers == 1:
        work(0, chosen, queues)
    else:
        spawn(work, (chosen, queues), nprocs=chosen.workers)  # type: ignore[no-untyped-call]
    if chosen.install:
        shutil.copytree(chosen.out / "model", ROOT / "extractor" / "models" / "demo", dirs_exist_ok=True)


def fast_dtype(device: torch.device) -> torch.dtype:
    """Return bfloat16 where there are instructions for its products, else float32."""
    fast = device.type == "cuda" or torch.cpu._is_avx512_bf16_supported()
    return torch.bfloat16 if fast else torch.float32


def work(worker: int, options: Options, queues: Sequence[Queue[Batch]]) -> None:
    """One of the processes: build or restore the model, then run."""
    if options.workers > 1:
        torch.set_num_threads(1)
        os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[worker % len(os.sched_getaffinity(0))]})
        store = (options.out / "meeting").resolve()
        distributed.init_process_group(
            "gloo", init_method=f"file://{store}-{os.getppid()}", rank=worker, world_size=options.workers
        )
    torch.manual_seed(options.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = ChatGLM(Shape(tokenizer.PIECES + len(SPECIAL))).to(device)
    if options.start:
        model.load_original(begun(options.start, options.out / "tokenizer.model"))
    masters = Masters(model, Rates(options.matrices, options.others), options.average)
    model.to(fast_dtype(device))
    masters.live = list(model.parameters())
    model.table = model.table.float()
    clock = Clock()
    if options.resume:
        stored = torch.load(options.resume, weights_only=True, map_location=device)
        masters.load(stored["masters"])
        clock = Clock(stored["clock"]["tokens"], stored["clock"]["steps"])
    if options.compile:
        torch._dynamo.config.recompile_limit = 64
        for layer in model.layers:
            layer.compile(dynamic=False)
        model.loss = torch.compile(model.loss, dynamic=False)  # type: ignore[method-assign]
    plan = Plan(options.tokens, options.minutes, decay=options.decay)
    run(model, masters, plan, clock, Worker(worker, options.workers, queues[worker], options.out))


if __name__ == "__main__":
    main()
