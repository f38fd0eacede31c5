"""What is asked for, as frozen dataclasses that are checked on creation. A default is written here and nowhere else.

    RunRequest -> TaskConfig, ModelConfig -> ServerConfig, RunConfig, ReadOptions,
                  OutputConfig, DistributedConfig, DisplayConfig

`RunRequest` is all of `extractor run`; the other commands that ask a model take the part of it that is an
`ExtractionRequest`. This module knows no command line: it is handed values, and its messages name what is wrong.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from extractor.data import UNGROUNDED, Ungrounded
from extractor.errors import UsageError

if TYPE_CHECKING:
    from extractor.ingest import ReadOptions

DEFAULT_BACKEND = "chatglm3"
STREAM = "-"
"""Standard input among the inputs, standard output as the output."""


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise UsageError(f"The {message}.")


@dataclass(frozen=True, slots=True)
class TaskConfig:
    """What to extract: a `schema` (a bundled name or a path) or `fields` in shorthand, the prompt template (a bundled
    name or a path), and a JSONL file of examples to show to the model."""

    schema: str | None = None
    fields: str | None = None
    prompt: str = "zh"
    examples: str | None = None

    def __post_init__(self) -> None:
        if (self.schema is None) == (self.fields is None):
            example = '-s contact, -s my-schema.json, or --fields "姓名, 年龄:integer"'
            raise UsageError(f"Say what to extract, in one way: {example}.")


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """Where a model is served, and how patient its client is.

    `base_url` is where the paths of the OpenAI protocol begin (`http://localhost:8000/v1`); `concurrency` the number of
    requests in flight; `timeout` the seconds that one may take (with all its retries, of which there are at most
    `retries`, three times that); `context` the tokens that the model reads, where the server does not say.
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
    def address(self) -> str:
        """The base URL for messages: without the user, the password and the query that it may hold."""
        parts = urlsplit(self.base_url)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """Which model, and how it is held in memory.

    `model` is a known name or a directory; `half` is float16 on CUDA and bfloat16 on the CPU; `device` is `auto`,
    `cpu`, `cuda` or `cuda:N`; `batch_size` is the number of prompts in a batch; `kv_memory` the bytes of the KV cache
    (a share of the free memory when None). `server` is for a model that is served elsewhere: then `model` is the name
    that it is served under, which may be left out where there is only one. `adapters` are folders that change the
    model, in their order.
    """

    model: str = "demo"
    revision: str | None = None
    precision: str = "half"
    device: str = "auto"
    offline: bool = False
    batch_size: int = 64
    kv_memory: int | None = None
    server: ServerConfig | None = None
    adapters: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _require(self.batch_size >= 1, f"batch size is {self.batch_size}; it must be at least 1")
        _require(self.kv_memory is None or self.kv_memory > 0, f"KV memory is {self.kv_memory}; it must be above 0")

    @property
    def concurrency(self) -> int:
        """The number of prompts that are worked on at the same time: a batch, or the requests in flight."""
        return self.server.concurrency if self.server else self.batch_size


@dataclass(frozen=True, slots=True)
class RunConfig:
    """How documents are asked about.

    `max_tokens` is the answer budget in tokens (derived from the model's context when None), `overlap` the most tokens
    that neighbouring chunks share (derived from the longest value of the schema when None), `passes` how often a chunk
    is asked about, after the first time for what is missing, `window` the prompts in flight. From the third attempt on,
    answers are sampled at `temperature` with a seed derived from `seed`, the document and the attempt. `redact` masks
    `x-sensitive` values. `ungrounded` says what to do with values that do not occur in the document, where the schema
    does not say (`x-ungrounded`); values with a confidence below `min_confidence` are withheld; `all_occurrences` lists
    every occurrence of each value.
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


@dataclass(frozen=True, slots=True)
class OutputConfig:
    """Where rows go: `path` is a file, a folder of part files, an address, or `-` for standard output.

    `flatten` writes a row for each value instead of each document; `overwrite` starts the output over, `retry_failed`
    only its failed rows; `prune` removes the rows of documents that are no longer in the input. With `bom` a CSV file
    begins with a byte order mark, without which Excel does not take it for UTF-8.
    """

    path: str = STREAM
    flatten: bool = False
    overwrite: bool = False
    retry_failed: bool = False
    prune: bool = False
    bom: bool = False

    def __post_init__(self) -> None:
        if self.bom and ".csv" not in PurePath(self.path.lower()).suffixes:
            raise UsageError("--bom is for CSV files: name one, as -o results.csv, or leave it out.")


@dataclass(frozen=True, slots=True)
class DistributedConfig:
    """How a run is spread over workers, each of which holds a model.

    `address` is the cluster to join (one is started on this machine when None); `workers` their number (one for each
    GPU, or for each machine without any, when None); `batch_documents` the documents that a worker gets at a time and
    commits as one part file.
    """

    address: str | None = None
    workers: int | None = None
    gpus_per_worker: float | None = None
    batch_documents: int = 256

    def __post_init__(self) -> None:
        _require(self.workers is None or self.workers >= 1, f"number of workers is {self.workers}; at least 1")
        gpus = self.gpus_per_worker
        _require(gpus is None or gpus >= 0, f"number of GPUs per worker is {gpus}; it must not be negative")
        count = self.batch_documents
        _require(count >= 1, f"number of documents in a batch is {count}; it must be at least 1")


@dataclass(frozen=True, slots=True)
class DisplayConfig:
    """What people are told on stderr: errors only when `quiet`, more log messages when `verbose`; `log_level` has the
    last word on the log. With the `log_format` `json` each line is an object."""

    quiet: bool = False
    verbose: bool = False
    log_level: str | None = None
    log_format: str = "text"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractionRequest:
    """What every command that asks a model is asked for."""

    task: TaskConfig
    read: ReadOptions
    backend: str = DEFAULT_BACKEND
    model: ModelConfig = ModelConfig()
    run: RunConfig = RunConfig()
    display: DisplayConfig = DisplayConfig()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest(ExtractionRequest):
    """All of `extractor run`: the inputs, at most `limit` documents of them, and where their rows go. Inputs without a
    document are an error unless `allow_empty`.

    Without `distributed` the run takes place in this process.
    """

    inputs: tuple[str, ...]
    limit: int | None = None
    allow_empty: bool = False
    output: OutputConfig = OutputConfig()
    distributed: DistributedConfig | None = None
    table: bool = False

    def __post_init__(self) -> None:
        _require(bool(self.inputs), "list of inputs is empty; name files or folders")
        _require(self.limit is None or self.limit >= 0, f"limit is {self.limit}; it must not be negative")
        if self.output.prune:
            self._check_prune()
        if self.distributed is not None:
            self._check_distributed()

    @property
    def may_be_empty(self) -> bool:
        """Tell whether a run over no document is what is asked for."""
        return self.allow_empty or self.limit == 0

    def _check_prune(self) -> None:
        """Raise UsageError where it would not be known what the input holds, or where there is nothing to remove."""
        if self.limit is not None:
            raise UsageError("--prune needs to know the whole input: leave out --limit.")
        if self.output.path == STREAM:
            raise UsageError("--prune removes rows from an output file, and stdout has none: name one with -o.")

    def _check_distributed(self) -> None:
        """Raise UsageError for what a distributed run cannot do."""
        if self.output.path == STREAM:
            raise UsageError("A distributed run writes a folder of part files: name one, as -o results.")
        if STREAM in self.inputs:
            raise UsageError("A distributed run cannot read standard input: a restart needs it again. Name files.")
        if self.output.flatten:
            raise UsageError("Part files have a row for each document: leave out --flatten, or run in one process.")
        if self.run.ordered:
            raise UsageError("Part files are written as they are done: leave out --ordered, or run in one process.")
        if ":" in self.model.device:
            raise UsageError("Ray gives each worker its GPU: leave --device at auto, and use --gpus-per-worker.")
