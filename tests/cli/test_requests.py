"""The values of a command line become one frozen request, checked on creation."""

from dataclasses import fields, is_dataclass

import click
import pytest

from extractor.cli._requests import Option, pack
from extractor.cli.extract import ExtractRequest
from extractor.cli.extract import command as extract
from extractor.cli.plan import PlanRequest
from extractor.cli.plan import command as plan
from extractor.cli.run import command as run
from extractor.config import (
    DistributedConfig,
    ModelConfig,
    OutputConfig,
    RunConfig,
    RunRequest,
    ServerConfig,
    TaskConfig,
)
from extractor.errors import UsageError
from extractor.ingest import ReadOptions


def _request(*arguments: str) -> RunRequest:
    context = run.make_context("run", list(arguments))
    return pack(RunRequest, run.params, context.params)


def test_a_line_without_options_has_the_defaults_of_the_configs() -> None:
    assert _request("inbox", "-s", "contact") == RunRequest(
        inputs=("inbox",), task=TaskConfig("contact"), read=ReadOptions()
    )


def test_every_option_goes_into_its_place_of_the_request() -> None:
    request = _request(
        *("a", "b", "--fields", "姓名", "-p", "en", "--examples", "e.jsonl", "--backend", "openai", "-m", "x"),
        *("--base-url", "http://localhost:1/v1", "--timeout", "9", "--read-timeout", "8", "--kv-memory", "2K"),
        *("--no-constrain", "--ordered", "--passes", "2", "--rows", "whole", "-o", "o.jsonl", "--limit", "3", "-q"),
    )
    server = ServerConfig("http://localhost:1/v1", timeout=9)
    assert request.model == ModelConfig("x", kv_memory=2048, server=server)
    assert request.run == RunConfig(constrain=False, ordered=True, passes=2)
    assert request.read == ReadOptions(rows="whole", timeout=8)
    assert request.task == TaskConfig(fields="姓名", prompt="en", examples="e.jsonl")
    assert request.output == OutputConfig("o.jsonl")
    assert (request.inputs, request.limit, request.backend) == (("a", "b"), 3, "openai")
    assert (request.display.quiet, request.distributed) == (True, None)


@pytest.mark.parametrize("name", ["--batch-documents", "--parcel"])
def test_a_distributed_run_has_a_config_of_its_own_and_the_old_name_of_an_option_still_works(name: str) -> None:
    request = _request("inbox", "-s", "contact", "--engine", "ray", "-o", "out", "--workers", "2", name, "7")
    assert request.distributed == DistributedConfig(workers=2, batch_documents=7)
    assert "--parcel" not in run.get_help(click.Context(run))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-s", "contact", "--batch-size", "0"], "batch size is 0; it must be at least 1"),
        (["-s", "contact", "--fields", "姓名"], "Say what to extract, in one way"),
        (["-s", "contact", "--max-attempts", "0"], "max attempts is 0"),
        (["-s", "contact", "--max-bytes", "0"], "Max bytes is 0"),
        (["-s", "contact", "--base-url", "localhost"], "base URL is not of the form"),
        (["-s", "contact", "--batch-documents", "9"], "--batch-documents is an option of --engine ray"),
        (["-s", "contact", "--engine", "ray", "-o", "out", "--flatten"], "leave out --flatten"),
    ],
)
def test_values_that_a_request_does_not_allow_are_refused_on_creation(arguments: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        _request("inbox", *arguments)


@pytest.mark.parametrize(
    ("command", "request_type"), [(run, RunRequest), (extract, ExtractRequest), (plan, PlanRequest)]
)
def test_every_option_names_a_field_that_exists(command: click.Command, request_type: type) -> None:
    types = {"task": TaskConfig, "model": ModelConfig, "server": ServerConfig, "run": RunConfig, "read": ReadOptions}
    types |= {"output": OutputConfig, "distributed": DistributedConfig}
    assert is_dataclass(request_type)
    exposed = [option for option in command.params if isinstance(option, Option) and option.expose_value]
    options = [option for option in exposed if option.name != "engine"]
    assert len(options) > 25
    for option in options:
        *parts, name = option.into.split(".")
        if parts != ["display"]:
            assert name in {each.name for each in fields(types[parts[-1]] if parts else request_type)}, option.into


def test_the_help_lists_options_under_headings() -> None:
    shown = run.get_help(click.Context(run))
    headings = [line for line in shown.splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert headings == [
        "What to extract:",
        "Output:",
        "Model:",
        "Served model:",
        "Answers:",
        "Reading documents:",
        "Distributed run:",
        "Other options:",
    ]
