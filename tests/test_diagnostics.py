"""The doctor names what is wrong and what to do, and a machine without a fault is fit."""

from __future__ import annotations

import importlib
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

from extractor import diagnostics
from extractor.diagnostics import (
    EXTRAS,
    REQUIREMENTS,
    Finding,
    Requirement,
    check_disk,
    check_extra,
    check_requirement,
    examine,
    is_fit,
    packages_of,
)
from extractor.precisions import names

TRANSFORMERS = next(each for each in REQUIREMENTS if each.package == "transformers")
MODELSCOPE = next(each for each in REQUIREMENTS if each.package == "modelscope")


@pytest.mark.parametrize(
    ("requirement", "installed", "status", "hint"),
    [
        (TRANSFORMERS, "5.17.0", "ok", ""),
        (TRANSFORMERS, "5.23.0.dev0", "ok", ""),
        (TRANSFORMERS, "5.9", "fail", "GlmForCausalLM"),
        (TRANSFORMERS, "4.57.1", "fail", "pip install -U 'transformers>=5.17'"),
        (TRANSFORMERS, None, "fail", "pip install"),
        (MODELSCOPE, "1.9", "warn", "another cache"),
        (MODELSCOPE, None, "warn", "pip install"),
        (Requirement("torch", "2.11", "x"), "2.13.0+cpu", "ok", ""),
    ],
)
def test_a_version_known_to_fail_is_reported(
    requirement: Requirement, installed: str | None, status: str, hint: str
) -> None:
    finding = check_requirement(requirement, installed)
    assert finding.status == status
    assert hint in finding.hint


@pytest.mark.parametrize(("statuses", "fit"), [(("ok", "info", "warn"), True), (("ok", "fail"), False), ((), True)])
def test_only_a_failure_makes_the_machine_unfit(statuses: tuple[diagnostics.Status, ...], fit: bool) -> None:
    assert is_fit([Finding("x", status, "y") for status in statuses]) is fit


def test_the_report_covers_the_books_first_addition_and_every_model_and_precision() -> None:
    findings = {finding.topic: finding for finding in examine()}
    assert findings["1 + 2.0 on cpu"].value == "tensor(3.)"
    assert {"Python", "torch", "transformers", "cuDNN", "free memory", "model cache", "demo model"} <= set(findings)
    assert {f"extra {extra}" for extra in EXTRAS} | {"LibreOffice", "kernels"} <= set(findings)
    assert findings["extra docs"].value.startswith("lxml ")
    assert {"disk: this folder", "disk: cache", "disk: temporary", "disk: models"} <= set(findings)
    assert {"chatglm3-6b", "chatglm3-6b-base", "chatglm3-6b-32k", "  half", "  float32"} <= set(findings)


def test_memory_figures_follow_from_the_6b_config(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    """12.49 GB of weights, 0.23 GB of cache for 8,192 tokens, 0.54 GB of working memory."""
    monkeypatch.setenv("MODELSCOPE_CACHE", str(tmp_path))
    monkeypatch.setattr(diagnostics, "_available_memory", lambda: {"cpu": 14 * 10**9, "cuda:0": 10**9})
    findings = examine()
    start = [finding.topic for finding in findings].index("chatglm3-6b")
    assert findings[start].value == "not downloaded"
    needs = {finding.topic.strip(): finding.value for finding in findings[start + 1 : start + 1 + len(names())]}
    assert needs["half"] == "13.3 GB with 8,192 tokens: fits on cpu"
    assert needs["float32"] == "26.0 GB with 8,192 tokens: does not fit here"


def test_a_torch_that_cannot_be_imported_is_a_finding_not_a_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> ModuleType:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", refuse)
    findings = examine()
    assert not is_fit(findings)
    assert Finding("first check", "fail", "torch cannot be imported", "pip install -U torch") in findings


def test_free_memory_is_a_plausible_number() -> None:
    free = diagnostics.available_ram()
    assert free is None or 10**7 < free < 10**14


PDF = ["pypdfium2>=5; extra == 'docs'", 'lxml[x]>=5.3,<7 ; extra == "docs"', "s3fs; extra == 's3'", "torch>=2.11"]


@pytest.mark.parametrize(
    ("installed", "status", "value", "hint"),
    [
        ({"pypdfium2": "5.0", "lxml": "6.1"}, "ok", "pypdfium2 5.0, lxml 6.1", ""),
        ({}, "info", "not installed: pip install 'chatglm3-extractor[docs]'", ""),
        ({"lxml": "5.3"}, "warn", "pypdfium2 missing", "pip install 'chatglm3-extractor[docs]'"),
        ({"pypdfium2": "4.30", "lxml": "5.3"}, "warn", "pypdfium2 too old", "pip install 'chatglm3-extractor[docs]'"),
    ],
)
def test_an_extra_is_there_whole_in_part_or_not_at_all(
    installed: dict[str, str], status: diagnostics.Status, value: str, hint: str
) -> None:
    assert packages_of("docs", PDF) == [("pypdfium2", "5"), ("lxml", "5.3")]
    finding = check_extra("docs", packages_of("docs", PDF), installed.get)
    assert finding == Finding("extra docs", status, value, hint)


def test_every_extra_that_people_install_is_looked_at() -> None:
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))["project"]
    assert set(EXTRAS) == project["optional-dependencies"].keys() - {"all", "dev", "realtest", "fuzz"}
    assert project["name"] == diagnostics.DISTRIBUTION


def test_little_room_on_a_disk_is_a_warning_and_a_folder_that_is_not_there_yet_is_on_the_disk_of_its_parent(
    tmp_path: Path,
) -> None:
    assert check_disk("disk", tmp_path / "a" / "b", 0).status == "info"
    little = check_disk("disk", tmp_path, 10**18)
    assert (little.status, "free some space" in little.hint) == ("warn", True)
    assert str(tmp_path) in little.value
