"""Options, checked once when they are made and frozen afterwards. A default is written here and nowhere else."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from urllib.parse import urlsplit

from extractor.data import UNGROUNDED, Ungrounded
from extractor.errors import UsageError


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """Where a model is served, and how patiently it is asked.

    `base_url` is where the paths of the OpenAI protocol begin (`http://localhost:8000/v1`); `concurrency` the requests
    under way together; `timeout` the seconds that one may take (three times that with all that is sent again, at most
    `retries` times); `context` the tokens that the model reads, where the server does not say.
    """

    base_url: str
    concurrency: int = 8
    timeout: float = 300.0
    retries: int = 5
    context: int | None = None

    def __post_init__(self) -> None:
        parts = urlsplit(self.base_url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname)
        _require(good, "base URL is not of the form http://localhost:8000/v1")
        _require(self.concurrency >= 1, f"concurrency is {self.concurrency}; it must be at least 1")
        _require(self.timeout > 0, f"timeout is {self.timeout}; it must be above 0")
        _require(self.retries >= 0, f"number of retries is {self.retries}; it must not be negative")
        _require(self.context is None or self.context >= 64, f"context is {self.context}; it must be at least 64")

    @property
    def place(self) -> str:
        """The base URL for messages: without a user and password that may stand in it."""
        parts = urlsplit(self.base_url)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """Which model, and how it is held in memory.

    `model` is a known name or a directory; `half` is float16 on CUDA and bfloat16 on the CPU; `device` is `auto`,
    `cpu`, `cuda` or `cuda:N`; `batch_size` is the number of prompts that are worked on together; `kv_memory` the bytes
    of their key-value cache (a part of what is free when None). `server` is for a model that is served elsewhere: then
    `model` is the name that it is served under, and the only one that there is may go unnamed.
    """

    model: str = "demo"
    revision: str | None = None
    precision: str = "half"
    device: str = "auto"
    offline: bool = False
    batch_size: int = 64
    kv_memory: int | None = None
    server: ServerConfig | None = None

    def __post_init__(self) -> None:
        _require(self.batch_size >= 1, f"batch size is {self.batch_size}; it must be at least 1")
        _require(self.kv_memory is None or self.kv_memory > 0, f"kv memory is {self.kv_memory}; it must be above 0")


@dataclass(frozen=True, slots=True)
class RunConfig:
    """How documents are asked about.

    `max_tokens` is the answer budget in tokens (chosen from the model's context when None), `overlap` the most tokens
    that neighbouring chunks share (chosen from the longest value of the schema when None), `passes` how often a chunk
    is asked about, the later times for what is missing, `window` the prompts in flight. From the third attempt on,
    answers are sampled at `temperature` with a seed derived from `seed`, the document and the attempt. `redact` masks
    `x-sensitive` values. `ungrounded` is what becomes of values that stand nowhere, where the schema does not say
    (`x-ungrounded`); values of a confidence below `min_confidence` are withheld; `all_occurrences` lists every place of
    each value.
    """

    max_attempts: int = 3
    max_tokens: int | None = None
    temperature: float = 0.7
    seed: int = 0
    constrain: bool = True
    overlap: int | None = None
    passes: int = 1
    window: int = 128
    ordered: bool = False
    redact: bool = False
    ungrounded: Ungrounded = "retry"
    min_confidence: float = 0.0
    all_occurrences: bool = False

    def __post_init__(self) -> None:
        _require(self.max_attempts >= 1, f"max attempts is {self.max_attempts}; it must be at least 1")
        _require(self.max_tokens is None or self.max_tokens >= 8, f"max tokens is {self.max_tokens}; at least 8")
        _require(0 < self.temperature <= 2, f"temperature is {self.temperature}; it must be above 0 and at most 2")
        _require(self.overlap is None or self.overlap >= 0, f"overlap is {self.overlap}; it must not be negative")
        _require(self.passes >= 1, f"number of passes is {self.passes}; it must be at least 1")
        _require(self.ungrounded in UNGROUNDED, f"ungrounded is {self.ungrounded}; one of {', '.join(UNGROUNDED)}")
        _require(0 <= self.min_confidence <= 1, f"min confidence is {self.min_confidence}; it must be from 0 to 1")
        _require(self.window >= 1, f"window is {self.window}; it must be at least 1")

    @property
    def settings(self) -> dict[str, str]:
        """What of this can change a result, for the fingerprint."""
        return {key: str(value) for key, value in asdict(self).items() if key not in ("window", "ordered")}


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise UsageError(f"The {message}.")
