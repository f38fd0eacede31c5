"""Whether a model would load: everything that is checked before its weights are read, and nothing that takes long."""

from __future__ import annotations

from functools import partial

from extractor.chatglm3.adapters import adapters_of
from extractor.chatglm3.chat_tokenizer import load_tokenizer
from extractor.chatglm3.checkpoint import check_mergeable, stored_plan
from extractor.chatglm3.hub import ModelLocation
from extractor.chatglm3.quantization_config import stored_precision
from extractor.chatglm3.source_checkpoint import open_checkpoint
from extractor.precisions import find_precision


def verify(location: ModelLocation) -> str:
    """Return what was checked, in a few words; CheckpointError or UsageError says why a model would not load."""
    stored = stored_precision(location.path)
    plan = partial(stored_plan, precision=find_precision("half", stored)) if stored else None
    source = open_checkpoint(location.path, plan)
    adapter = adapters_of(location.path, location.adapters, source.dims)
    check_mergeable(location.path, adapter)
    tokenizer = load_tokenizer(location.path, source.dims)
    merged = f", {len(adapter.updates)} changed by adapters" if adapter.updates else ""
    merged += f", {len(adapter.prefix)} virtual tokens before each prompt" if adapter.prefix else ""
    return f"yes: {len(source.plan)} tensors{merged}, a tokenizer of {tokenizer.vocab_size:,} tokens"
