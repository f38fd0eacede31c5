"""The options that several commands share, by the part of the request that they fill. Their defaults are `config`'s."""

from __future__ import annotations

import re
from typing import Any

import click

from extractor import backends, precisions
from extractor.cli._completion import FILE, FOLDER, MODEL, PROMPT, SCHEMA
from extractor.cli._requests import options, section
from extractor.config import (
    DEFAULT_BACKEND,
    DisplayConfig,
    DistributedConfig,
    ModelConfig,
    RunConfig,
    ServerConfig,
    TaskConfig,
)
from extractor.data import UNGROUNDED
from extractor.ingest import OCR, ReadOptions

_TASK, _MODEL, _RUN, _READ = TaskConfig("contact"), ModelConfig(), RunConfig(), ReadOptions()
_SERVER, _DISTRIBUTED = ServerConfig("http://localhost:8000/v1"), DistributedConfig()

FORMATS = """
\b
Formats, told by their content where the suffix is not known:
  txt pdf docx doc xlsx xls xlsb csv pptx ppt html rtf eml msg odt ods epub ofd
  json jsonl parquet tnef zip gz
  doc and ppt where LibreOffice is installed; png, jpg, tif, ... with the extra ocr
"""


class Size(click.ParamType[int]):
    """Bytes: a number, which K, M, G or T (powers of 1,024) may follow."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the bytes. Fail for anything else, with an example."""
        found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", str(value).strip(), re.IGNORECASE)
        if found is None:
            self.fail(f"{value!r} is not a size. Write bytes, or 512M, 4G.", param, ctx)
        return int(float(found[1]) * 1024 ** " KMGT".index(found[2].upper() or " "))


_option = section("What to extract", "task")
task = options(
    _option("-s", "--schema", type=SCHEMA, help="A bundled schema (`extractor schemas list`) or a .json file."),
    _option("--fields", help='Fields in shorthand instead of a schema: "姓名, 年龄:integer, 标签:string[]".'),
    _option(
        "-p",
        "--prompt",
        type=PROMPT,
        default=_TASK.prompt,
        show_default=True,
        help="A bundled prompt template (`extractor prompts list`) or a file.",
    ),
    _option(
        "--examples",
        type=FILE,
        metavar="FILE",
        help='Correct answers to show to the model: JSONL of {"text": ..., "data": {...}}, or a format of `convert`.',
    ),
)

_option = section("Model", "model")
_served = section("Served model", "model.server")
model = options(
    _option(
        "-m",
        "--model",
        type=MODEL,
        default=_MODEL.model,
        show_default=True,
        help="`demo` (bundled, a toy), `chatglm3-6b` and others (`extractor models list`), or a local directory; "
        "with --base-url the name of a served model.",
    ),
    _option(
        "--adapter",
        "adapters",
        type=FOLDER,
        multiple=True,
        metavar="DIR",
        help="A LoRA to merge or a P-Tuning prefix to use; several are merged in order.",
    ),
    _option("--revision", help="A revision on ModelScope instead of the pinned one."),
    _option("--offline", is_flag=True, help="Never touch the network."),
    _option("--precision", type=click.Choice(precisions.names()), default=_MODEL.precision, show_default=True),
    _option("--device", default=_MODEL.device, show_default=True, help="auto, cpu, cuda or cuda:N."),
    _option("--batch-size", type=int, default=_MODEL.batch_size, show_default=True, help="Prompts in a batch."),
    _option("--kv-memory", type=Size(), help="Memory of the KV cache, as 4G.  [default: a share of what is free]"),
    section("Model")("--backend", type=click.Choice(backends.names()), default=DEFAULT_BACKEND, show_default=True),
    _served("--base-url", help=f"Where the server is, as {_SERVER.base_url}; for a --backend that asks one."),
    _served("--concurrency", type=int, default=_SERVER.concurrency, show_default=True, help="Requests in flight."),
    _served(
        "--timeout", type=float, default=_SERVER.timeout, show_default=True, help="Seconds that a request may take."
    ),
    _served(
        "--retries",
        type=int,
        default=_SERVER.retries,
        show_default=True,
        help="Retries of a request, with backoff, after 429, 5xx and timeouts.",
    ),
    _served("--context", type=int, help="Tokens that the served model reads.  [default: what the server says]"),
)

_option = section("Answers", "run")
answers = options(
    _option(
        "--max-attempts",
        type=int,
        default=_RUN.max_attempts,
        show_default=True,
        help="Attempts at an answer that is accepted.",
    ),
    _option("--max-tokens", type=int, help="Longest answer, in tokens.  [default: derived from the model's context]"),
    _option(
        "--temperature",
        type=float,
        default=_RUN.temperature,
        show_default=True,
        help="Sampling temperature from the third attempt on; the first two are greedy.",
    ),
    _option("--seed", type=int, default=_RUN.seed, show_default=True, help="Seed of the sampling."),
    _option(
        "--passes",
        type=int,
        default=_RUN.passes,
        show_default=True,
        help="Times that each text is asked about: after the first, for what is missing.",
    ),
    _option(
        "--no-constrain",
        field="constrain",
        negates=True,
        is_flag=True,
        help="Let the model write freely; parsing and retries make up for it.",
    ),
    _option(
        "--ungrounded",
        type=click.Choice(UNGROUNDED),
        default=_RUN.ungrounded,
        show_default=True,
        help="What to do with values that do not occur in the document, where the schema does not say (x-ungrounded).",
    ),
    _option(
        "--min-confidence",
        type=float,
        default=_RUN.min_confidence,
        show_default=True,
        help="Withhold values with a lower confidence; the record lists them.",
    ),
    _option("--all-occurrences", is_flag=True, help="List every occurrence of a value in `spans`."),
    _option("--redact", is_flag=True, help="Mask the values of x-sensitive fields."),
)

_option = section("Reading documents", "read")
reading = options(
    _option(
        "--rows",
        type=click.Choice(["split", "whole"]),
        default=_READ.rows,
        show_default=True,
        help="Each row of a table or JSON file is a document, or the whole sheet or file is one.",
    ),
    _option(
        "--text-field",
        "--text-column",
        "text_field",
        default=_READ.text_field,
        show_default=True,
        help="Field or column with the text of a row.",
    ),
    _option(
        "--id-field",
        "--id-column",
        "id_field",
        default=_READ.id_field,
        show_default=True,
        help="Field or column with its id.",
    ),
    _option("--hidden", is_flag=True, help="Read hidden sheets, rows, columns, slides and words as well."),
    _option(
        "--ocr",
        type=click.Choice(OCR),
        default=_READ.ocr,
        show_default=True,
        help="Read pictures and scans (extra ocr). auto: pages without text, if it is installed; always: all pages.",
    ),
    _option("--password", envvar="EXTRACTOR_PASSWORD", help="Opens encrypted files.  [env: EXTRACTOR_PASSWORD]"),
    _option("--max-bytes", type=int, default=_READ.max_bytes, show_default=True, help="Largest document to read."),
    _option(
        "--read-timeout",
        field="timeout",
        type=float,
        default=_READ.timeout,
        show_default=True,
        help="Seconds that reading a document, or a page by OCR, may take.",
    ),
)
limit = section("Reading documents")("--limit", type=click.IntRange(min=0), help="Stop after so many documents.")
allow_empty = section("Reading documents")(
    "--allow-empty", is_flag=True, help="An input without a single document is not an error."
)

_option = section("Output", "output")
output = options(
    _option(
        "-o",
        "--output",
        type=FILE,
        field="path",
        default="-",
        metavar="FILE",
        help="Where rows go, in the format of the suffix; the same line again resumes it. - is stdout.",
    ),
    _option("--flatten", is_flag=True, help="Write a row for each value, with its place, instead of each document."),
    section("Output", "run")("--ordered", is_flag=True, help="Write rows in the order of the input."),
    _option("--bom", is_flag=True, help="Begin a CSV file with a byte order mark, so that Excel takes it for UTF-8."),
    _option("--overwrite", is_flag=True, help="Start the output over."),
    _option("--retry-failed", is_flag=True, help="Try documents again that an earlier run left partial or failed."),
    _option("--prune", is_flag=True, help="Remove the rows of documents that are no longer in the input."),
    section("Output")("--table", is_flag=True, help="Show a short table of the results on stderr."),
)

_option = section("Distributed run", "distributed")
distributed = options(
    _option(
        "--engine",
        type=click.Choice(["local", "ray"]),
        default="local",
        show_default=True,
        help="local: this process. ray: several workers, on any number of machines; -o is a folder of part files.",
    ),
    _option("--address", metavar="HOST:PORT", help="Ray cluster to join.  [default: start one here]"),
    _option("--workers", type=click.IntRange(min=1), help="Number of models.  [default: one a GPU, or one a machine]"),
    _option("--gpus-per-worker", type=click.FloatRange(min=0), help="[default: 1 where there are any, else 0]"),
    _option(
        "--batch-documents",
        type=click.IntRange(min=1),
        default=_DISTRIBUTED.batch_documents,
        show_default=True,
        aliases=("--parcel",),
        help="Documents that a worker gets at a time: those of a part file, and what is redone when a worker dies.",
    ),
)

_option = section("Other options", "display")
display = options(
    _option("-q", "--quiet", is_flag=True, help="No progress and no summary; errors only."),
    _option("-v", "--verbose", is_flag=True, help="Log more, extracted values among it."),
    _option(
        "--log-level",
        type=click.Choice(["debug", "info", "warning", "error"]),
        help="How much is logged.  [default: warning; error with -q, info with -v]",
    ),
    _option(
        "--log-format",
        type=click.Choice(["text", "json"]),
        default=DisplayConfig().log_format,
        show_default=True,
        help="json: each line on stderr is an object, for programs that collect logs.",
    ),
)

json_flag = section("Other options")("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
