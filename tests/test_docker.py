"""The Dockerfiles copy what there is, and what they copy makes the wheel. No image is built here: no engine is here."""

from __future__ import annotations

import fnmatch
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FILES = ("Dockerfile", "Dockerfile.cuda")


def _instructions(name: str) -> Iterator[tuple[str, str]]:
    """The instructions of a Dockerfile, each with what follows it."""
    for line in (ROOT / name).read_text("utf-8").splitlines():
        if line and not line.startswith("#"):
            word, _, rest = line.partition(" ")
            yield word, rest


def _copied(name: str) -> dict[str, list[str]]:
    """What each stage takes from the build context, by number."""
    stages: dict[str, list[str]] = {}
    for word, rest in _instructions(name):
        if word == "FROM":
            stages[str(len(stages))] = []
        elif word == "COPY" and not rest.startswith("--from="):
            stages[str(len(stages) - 1)] += rest.split()[:-1]
    return stages


def _is_in_context(path: str) -> bool:
    """Tell whether `.dockerignore` lets a path at the top through: the last line that matches decides."""
    kept = True
    for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines():
        if fnmatch.fnmatch(path, line.removeprefix("!")):
            kept = line.startswith("!")
    return kept


@pytest.mark.parametrize("name", FILES)
def test_what_is_copied_exists_and_is_in_the_context(name: str) -> None:
    paths = [path for stage in _copied(name).values() for path in stage]
    assert {"pyproject.toml", "extractor", "constraints.txt"} <= set(paths)
    for path in paths:
        assert (ROOT / path).exists(), path
        assert _is_in_context(path), path
    assert not any(_is_in_context(path) for path in (".git", ".venv", "tests", "data", "results.jsonl"))


def test_a_wheel_of_the_first_stage_holds_all_of_the_package(tmp_path: Path) -> None:
    stages = {name: _copied(name)["0"] for name in FILES}
    assert stages["Dockerfile"] == stages["Dockerfile.cuda"]
    for path in stages["Dockerfile"]:
        source, target = ROOT / path, tmp_path / "src" / path
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            target.parent.mkdir(exist_ok=True)
            shutil.copy(source, target)
    line = [
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "--outdir",
        str(tmp_path),
        str(tmp_path / "src"),
    ]
    subprocess.run(line, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = {each for each in zipfile.ZipFile(wheel).namelist() if each.startswith("extractor/")}
    here = [path for path in (ROOT / "extractor").rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    package = {str(path.relative_to(ROOT)) for path in here}
    bundled = {f"extractor/{room}/{path.name}" for room in ("prompts", "schemas") for path in (ROOT / room).iterdir()}
    assert names == package | bundled


@pytest.mark.parametrize("name", FILES)
def test_an_image_runs_as_nobody_special_with_pinned_versions_and_no_model_in_it(name: str) -> None:
    instructions = list(_instructions(name))
    words = [word for word, _ in instructions]
    last = {word: rest for word, rest in instructions}
    assert last["USER"] == "extractor"
    assert words.index("USER") < words.index("ENTRYPOINT")
    assert last["ENTRYPOINT"] == '["extractor"]'
    assert last["VOLUME"] == "/cache"
    assert "MODELSCOPE_CACHE=/cache/modelscope" in last["ENV"]
    assert all(re.search(r":\d", rest) for word, rest in instructions if word == "FROM")
    (install,) = (rest for word, rest in instructions if word == "RUN" and "pip install" in rest)
    assert "--constraint /build/constraints.txt" in install
    assert not any(text in rest for _, rest in instructions for text in ("://", "models pull", "--model"))
    assert "ADD" not in words
    extras = re.search(r'EXTRAS="([\w,]+)"', (ROOT / name).read_text("utf-8"))
    known = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    assert extras is not None
    assert set(extras[1].split(",")) <= known.keys()
