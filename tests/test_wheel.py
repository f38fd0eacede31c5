"""The wheel that a user installs holds everything, and works from any directory."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    line = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(line, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_prompts_schemas_the_demo_model_and_the_record_schema(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder in ("prompts", "schemas"):
        assert {f"extractor/{folder}/{path.name}" for path in (ROOT / folder).iterdir()} <= names
    assert {
        "extractor/storage/record.schema.json",
        "extractor/py.typed",
        "extractor/models/demo/tokenizer.model",
    } <= names
    assert {f"extractor/report/page.{kind}" for kind in ("html", "css", "js")} <= names
    assert "extractor/report/notebook.html" in names
    assert not any(name.startswith(("tests/", "training/", "benchmarks/")) for name in names)
    demo = sum(info.file_size for info in zipfile.ZipFile(wheel).infolist() if "/models/demo/" in info.filename)
    assert demo <= 24_000_000


def test_the_unpacked_wheel_works_elsewhere(wheel: Path, tmp_path: Path) -> None:
    site, elsewhere = tmp_path / "site", tmp_path / "elsewhere"
    elsewhere.mkdir()
    zipfile.ZipFile(wheel).extractall(site)
    (elsewhere / "a.txt").write_text("手机号18888888888", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-P", "-m", "extractor", "extract", "a.txt", "-s", "contact", "-p", "book", "--record"],
        cwd=elsewhere,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["run"]["schema"] == "contact"
    where = subprocess.run(
        [sys.executable, "-P", "-c", "import extractor; print(extractor.__file__)"],
        cwd=elsewhere,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert where.stdout.startswith(str(site))
