"""`extractor schemas`: the bundled schemas, the schema of the output, and what is questionable about one's own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.resources import files

import click

from extractor import backends
from extractor.cli._completion import SCHEMA
from extractor.cli._lists import as_json, print_list
from extractor.cli._pipelines import load
from extractor.cli._requests import command as request_command
from extractor.config import DEFAULT_BACKEND, ModelConfig, TaskConfig
from extractor.data import Json
from extractor.errors import UsageError
from extractor.pipeline import Pipeline
from extractor.task.bundled import SCHEMAS
from extractor.task.schema_report import Finding, report
from extractor.task.task import Task

RECORD = "record"


@click.group(
    short_help="Show and check schemas; show that of the output rows.",
    epilog="""\b
Examples:
  extractor schemas list
  extractor schemas list --json | jq -r '.[].name'
  extractor schemas show contact > my-schema.json     to start your own from
  extractor schemas show record                       the schema of an output row
  extractor schemas check my-schema.json              whether it can be used, and what to know before a run
""",
)
def command() -> None:
    """Show the bundled schemas, check one of your own; `show record` shows the schema of the output rows."""


@command.command("list")
@as_json
def list_(as_json: bool) -> None:
    """List the bundled schemas with the fields that each extracts."""
    schemas = {name: json.loads(SCHEMAS.load(name)[1]) for name in SCHEMAS.names()}
    print_list(
        (
            {"name": name, "description": schema.get("description", ""), "fields": list(schema["properties"])}
            for name, schema in schemas.items()
        ),
        as_json,
        lambda row: f"{row['name']:10} {row['description']}：{'、'.join(row['fields'])}",
    )


@command.command()
@click.argument("name", type=SCHEMA)
def show(name: str) -> None:
    """Print a schema."""
    text = (
        (files("extractor.storage") / "record.schema.json").read_text("utf-8")
        if name == RECORD
        else SCHEMAS.load(name)[1]
    )
    click.echo(text.rstrip("\n"))


@dataclass(frozen=True, slots=True)
class CheckRequest:
    """A schema to check, and the prompt and model that say how long its instructions are."""

    schema: str
    prompt: str
    model: str
    offline: bool
    as_json: bool


@request_command(
    CheckRequest,
    name="check",
    epilog="""\b
Examples:
  extractor schemas check my-schema.json
  extractor schemas check my-schema.json -m chatglm3-6b      counts the tokens of another model
  extractor schemas check my-schema.json --json
""",
)
@click.argument("schema", type=SCHEMA, metavar="FILE")
@click.option(
    "-p", "--prompt", default=TaskConfig("contact").prompt, show_default=True, help="The prompt to count tokens with."
)
@click.option("-m", "--model", default="demo", show_default=True, help="The model whose tokens to count.")
@click.option("--offline", is_flag=True, help="Never touch the network.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: fields, tokens and findings.")
def check(request: CheckRequest) -> None:
    """Tell whether a schema can be used, and what is questionable about it. One that is refused gives exit code 2."""
    checked = _Checked.of(request)
    if request.as_json:
        click.echo(json.dumps(checked.as_json(), ensure_ascii=False, indent=2))
    else:
        click.echo("\n".join(checked.lines()))


command.add_command(check)


@dataclass(frozen=True, slots=True)
class _Checked:
    """What there is to say about a schema that can be used."""

    schema: str
    task: Task
    model: str
    instructions: int
    context: int
    findings: tuple[Finding, ...]

    @classmethod
    def of(cls, request: CheckRequest) -> _Checked:
        """Load and check a schema. Raise UsageError for one that is refused."""
        task = load(TaskConfig(request.schema, prompt=request.prompt))
        backend = backends.make(DEFAULT_BACKEND, ModelConfig(request.model, offline=request.offline))
        pipeline = Pipeline(task, backend)
        findings = (*report(task), *_room(pipeline))
        instructions = pipeline.prompter.instructions(task)
        return cls(request.schema, task, request.model, instructions, backend.context, findings)

    def lines(self) -> Iterator[str]:
        """Yield the verdict, and a line for each finding."""
        named = " and those that a text names itself" if self.task.is_map else ""
        yield f"{self.schema} can be used. Fields: {len(self.task.fields):,}{named}."
        yield f"Instructions take {self.instructions:,} of the {self.context:,} tokens that {self.model} reads."
        for finding in self.findings:
            yield f"{finding.pointer or 'The whole'}: {finding.message}"

    def as_json(self) -> dict[str, Json]:
        """Return all of it, findings with their codes."""
        return {
            "schema": self.schema,
            "fields": [each.name for each in self.task.fields],
            "model": self.model,
            "instructions": self.instructions,
            "context": self.context,
            "findings": [asdict(finding) for finding in self.findings],
        }


def _room(pipeline: Pipeline) -> Iterator[Finding]:
    """Yield a finding where the instructions leave a model no room, or are asked in groups of fields."""
    try:
        pipeline.check()
    except UsageError as error:
        yield Finding("", "room", str(error))
        return
    groups = len(pipeline.budget.groups)
    if groups > 1:
        yield Finding("", "groups", f"too much for one answer: each text is asked about in {groups} groups of fields")
