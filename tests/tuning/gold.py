"""Small gold, and targets of it for the demo model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from extractor.annotation_formats import AnnotatedText, Notes
from extractor.config import ModelConfig
from extractor.data import Json
from extractor.task.task import Task, load_task
from extractor.tuning.tuning import TuneConfig, Tuning

CONTACT = load_task("contact")


def texts(count: int) -> list[AnnotatedText]:
    """Return texts with labels that the demo does not know."""
    return [
        AnnotatedText(
            f"{n}",
            f"登记表第{n}页\n拨打={13800000000 + n}\n凭证={'abc'[n % 3]}k{n}x",
            {"手机号": f"{13800000000 + n}", "密码": f"{'abc'[n % 3]}k{n}x"} | ({"邮箱": None, "账号": None}),
        )
        for n in range(count)
    ]


def write(path: Path, items: list[AnnotatedText]) -> Path:
    """Write gold."""
    path.write_text("".join(json.dumps(item.as_row(), ensure_ascii=False) + "\n" for item in items), "utf-8")
    return path


def a_tuning(items: list[AnnotatedText], task: Task = CONTACT, model: str = "demo", **options: Json) -> Tuning:
    """Return a tuning, its model loaded."""
    settings: Mapping[str, Json] = {"epochs": 2, "batch_tokens": 600, "held_out": 0.25, **options}
    return Tuning(items, task, ModelConfig(model, precision="float32", device="cpu"), TuneConfig(**settings), Notes())
