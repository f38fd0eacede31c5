"""`extractor doctor`: print what this machine can run, and what to do where something is wrong."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from extractor.diagnostics import Finding, examine, is_fit

_MARKS = {"ok": "ok  ", "info": "    ", "warn": "WARN", "fail": "FAIL"}


@click.command(
    epilog="""\b
Examples:
  extractor doctor                          a table for people
  extractor doctor --json | jq .ok          for scripts; so does the exit code
"""
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.pass_context
def command(context: click.Context, as_json: bool) -> None:
    """Check Python, torch, GPU, memory and models. Exits with 0 if all is well, 1 if something is wrong."""
    findings = examine()
    fit = is_fit(findings)
    click.echo(_as_json(findings, fit) if as_json else _as_table(findings, fit))
    context.exit(0 if fit else 1)


def _as_json(findings: list[Finding], fit: bool) -> str:
    report = {"ok": fit, "findings": [asdict(finding) for finding in findings]}
    return json.dumps(report, ensure_ascii=False, indent=2)


def _as_table(findings: list[Finding], fit: bool) -> str:
    width = max(len(finding.topic) for finding in findings)
    lines = []
    for finding in findings:
        lines.append(f"{_MARKS[finding.status]}  {finding.topic:{width}}  {finding.value}")
        lines += [f"{'':{width + 6}}  -> {finding.hint}"] if finding.hint else []
    return "\n".join([*lines, "", "All is well." if fit else "Something is wrong: see FAIL above."])
