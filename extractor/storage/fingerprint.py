"""The fingerprint of a run: a hash of everything that can change a result, which decides whether rows are resumed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from extractor.config import RunConfig
from extractor.data import Backend, RunInfo
from extractor.task.task import Task


def run_settings(task: Task, backend: Backend, config: RunConfig) -> dict[str, str]:
    """Return everything that can change a result, by name."""
    return {"model": backend.identity, **task.settings, **config.settings}


def fingerprint(settings: Mapping[str, str]) -> str:
    """Return 16 hex digits of the SHA-256 of the settings."""
    text = json.dumps(settings, ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def run_info(task: Task, backend: Backend, settings: Mapping[str, str]) -> RunInfo:
    """Return what each record of a run says about it."""
    hashes = task.settings
    return RunInfo(
        fingerprint(settings),
        backend.name,
        task.name,
        task.prompt,
        hashes["schema"],
        hashes["prompt"],
    )
