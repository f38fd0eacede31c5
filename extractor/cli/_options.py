"""Options that several commands share, and how they become configs."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from extractor import backends, precisions
from extractor.config import ModelConfig, RunConfig, ServerConfig
from extractor.data import UNGROUNDED
from extractor.ingest import ReadOptions
from extractor.pipeline import Pipeline
from extractor.sinks import SinkOptions
from extractor.task.examples import load_examples
from extractor.task.shorthand import schema_from_fields
from extractor.task.task import Task, load_task, make_task

Command = TypeVar("Command", bound=Callable[..., Any])

_MODEL, _RUN, _READ = ModelConfig(), RunConfig(), ReadOptions()  # a default is written there and nowhere else
_SERVER = ServerConfig("http://localhost:8000/v1")


class Size(click.ParamType[int]):
    """Bytes: a number with K, M, G or T (powers of 1,024) behind it, or none."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", str(value).strip(), re.IGNORECASE)
        if found is None:
            self.fail(f"{value!r} is no size. Write bytes, or 512M, 4G.", param, ctx)
        return int(float(found[1]) * 1024 ** " KMGT".index(found[2].upper() or " "))


def _stack(*options: Callable[[Any], Any]) -> Callable[[Command], Command]:
    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


task_options = _stack(
    click.option("-s", "--schema", help="What to extract: a bundled name (`extractor schemas list`) or a .json file."),
    click.option("--fields", help='What to extract, on the spot: "姓名, 年龄:integer, 标签:string[]".'),
    click.option(
        "-p", "--prompt", default="zh", show_default=True, help="A bundled name (`extractor prompts list`) or a file."
    ),
    click.option("--examples", metavar="FILE", help='JSONL of right answers to show: {"text": ..., "data": {...}}.'),
)

model_options = _stack(
    click.option(
        "-m",
        "--model",
        default="demo",
        show_default=True,
        help="`demo` (bundled, a toy), `chatglm3-6b`, `chatglm3-6b-base`, `chatglm3-6b-32k`, or a local directory; "
        "with --base-url the name of a served model.",
    ),
    click.option("--revision", help="A revision of the model on ModelScope instead of the pinned one."),
    click.option("--offline", is_flag=True, help="Never touch the network."),
    click.option("--precision", type=click.Choice(precisions.names()), default="half", show_default=True),
    click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N."),
    click.option(
        "--batch-size", type=int, default=_MODEL.batch_size, show_default=True, help="Prompts worked on together."
    ),
    click.option("--kv-memory", type=Size(), help="Memory of the key-value cache, as 4G.  [default: of what is free]"),
)

server_options = _stack(
    click.option("--backend", type=click.Choice(backends.names()), default="chatglm3", show_default=True),
    click.option("--base-url", help=f"With --backend openai: where the server is, as {_SERVER.base_url}."),
    click.option(
        "--concurrency", type=int, default=_SERVER.concurrency, show_default=True, help="Requests under way together."
    ),
    click.option(
        "--timeout", type=float, default=_SERVER.timeout, show_default=True, help="Seconds that a request may take."
    ),
    click.option(
        "--retries",
        type=int,
        default=_SERVER.retries,
        show_default=True,
        help="Of a request, on 429, 5xx and timeouts.",
    ),
    click.option("--context", type=int, help="Tokens that the served model reads.  [default: what the server says]"),
)

ask_options = _stack(
    click.option("--max-attempts", type=int, default=_RUN.max_attempts, show_default=True),
    click.option("--max-tokens", type=int, help="Room for an answer, in tokens.  [default: from the model's context]"),
    click.option(
        "--temperature", type=float, default=_RUN.temperature, show_default=True, help="Of the third attempt on."
    ),
    click.option("--seed", type=int, default=_RUN.seed, show_default=True),
    click.option(
        "--passes",
        type=int,
        default=_RUN.passes,
        show_default=True,
        help="Ask so often: later times for what is missing.",
    ),
    click.option("--redact", is_flag=True, help="Mask the values of x-sensitive fields."),
    click.option(
        "--ungrounded",
        type=click.Choice(UNGROUNDED),
        default=_RUN.ungrounded,
        show_default=True,
        help="What becomes of values that stand nowhere, where the schema does not say (x-ungrounded).",
    ),
    click.option(
        "--min-confidence",
        type=float,
        default=_RUN.min_confidence,
        show_default=True,
        help="Withhold values that are less sure; the record lists them.",
    ),
    click.option("--all-occurrences", is_flag=True, help="Spans list every place of a value in the document."),
    click.option("--no-constrain", is_flag=True, help="Let the model write freely; parsing and retries carry it."),
)

read_options = _stack(
    click.option(
        "--rows",
        type=click.Choice(["split", "whole"]),
        default=_READ.rows,
        show_default=True,
        help="A row of a table or of JSON is a document, or the sheet, the file, is one.",
    ),
    click.option(
        "--text-field",
        "--text-column",
        "text_field",
        default=_READ.text_field,
        show_default=True,
        help="Where rows, JSON and Parquet hold their text.",
    ),
    click.option(
        "--id-field",
        "--id-column",
        "id_field",
        default=_READ.id_field,
        show_default=True,
        help="Where they hold their id.",
    ),
    click.option("--password", envvar="EXTRACTOR_PASSWORD", help="Opens locked files.  [env: EXTRACTOR_PASSWORD]"),
    click.option("--max-bytes", type=int, default=_READ.max_bytes, show_default=True, help="Largest document to read."),
    click.option(
        "--read-timeout",
        type=float,
        default=_READ.timeout,
        show_default=True,
        help="Seconds that a document may take to be read.",
    ),
)

talk_options = _stack(
    click.option("-q", "--quiet", is_flag=True, help="No progress, no summary; errors only."),
    click.option("-v", "--verbose", is_flag=True, help="Log more, extracted values among it."),
)


def make_task_from(options: Mapping[str, Any]) -> Task:
    """The task that -s or --fields names; UsageError unless it is exactly one of them."""
    schema, fields, prompt = options["schema"], options["fields"], options["prompt"]
    if (schema is None) == (fields is None):
        raise click.UsageError('Say what to extract: -s contact, -s my-schema.json, or --fields "姓名, 年龄:integer".')
    examples = load_examples(options["examples"]) if options.get("examples") else ()
    if fields is None:
        return load_task(schema, prompt, examples)
    return make_task(schema_from_fields(fields), prompt, "fields", examples)


def model_config(options: Mapping[str, Any]) -> ModelConfig:
    names = ("model", "revision", "precision", "device", "offline", "batch_size", "kv_memory")
    return ModelConfig(**{name: options[name] for name in names}, server=_server_config(options))


def _server_config(options: Mapping[str, Any]) -> ServerConfig | None:
    names = ("base_url", "concurrency", "timeout", "retries", "context")
    return ServerConfig(**{name: options[name] for name in names}) if options["base_url"] else None


def run_config(options: Mapping[str, Any]) -> RunConfig:
    """The window holds two batches, so that the next prompts are at hand when sequences leave.

    With a server it holds two rounds of requests, so that an interrupt has little to wait for.
    """
    names = (
        *("max_attempts", "max_tokens", "temperature", "seed", "passes", "redact"),
        *("ungrounded", "min_confidence", "all_occurrences"),
    )
    return RunConfig(
        **{name: options[name] for name in names},
        constrain=not options["no_constrain"],
        window=2 * options["concurrency" if options["base_url"] else "batch_size"],
        ordered=options.get("ordered", False),
    )


def make_read_options(options: Mapping[str, Any], **more: Any) -> ReadOptions:
    names = ("rows", "text_field", "id_field", "password", "max_bytes")
    return ReadOptions(**{name: options[name] for name in names}, timeout=options["read_timeout"], **more)


def sink_options(pipeline: Pipeline, options: Mapping[str, Any]) -> SinkOptions:
    return SinkOptions(
        fingerprint=pipeline.info.fingerprint,
        settings=pipeline.settings,
        overwrite=options["overwrite"],
        retry_failed=options["retry_failed"],
        task=pipeline.task,
        flatten=options["flatten"],
    )


def label_demo(model: str, purpose: str = "For real work: -m chatglm3-6b") -> None:
    """Say on stderr that the bundled model is a toy: nobody should take its answers for ChatGLM3-6B's."""
    if model == "demo":
        click.echo(f"Model: demo, a toy of a few million parameters. {purpose}", err=True)


def set_logging(quiet: bool, verbose: bool) -> None:
    level = logging.ERROR if quiet else logging.INFO if verbose else logging.WARNING
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s", force=True)
    logging.getLogger("extractor").setLevel(level)
