"""The house rules that a machine can check: who may import whom, what is never called, what `--help` may cost."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "extractor"
COMMANDS = ("chat", "convert", "evaluate", "extract", "plan", "report", "review", "run", "tune")
NEVER_CALLED = {"eval", "exec", "compile", "pickle.load", "pickle.loads"}
BIN = Path(sys.executable).parent


def test_every_import_contract_is_kept() -> None:
    # In a process of its own: it switches off every logger that is there.
    line = [BIN / "lint-imports", "--no-cache", "--no-logo"]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_every_type_is_consistent() -> None:
    done = subprocess.run([BIN / "mypy"], cwd=ROOT, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stdout


def test_the_hooks_run_the_tools_of_make_check() -> None:
    recipe = (ROOT / "Makefile").read_text("utf-8").partition("\ncheck:")[2].partition("\n\n")[0]
    hooks = (ROOT / ".pre-commit-config.yaml").read_text("utf-8")
    tools = set(re.findall(r"\$\(BIN\)/([\w-]+)", recipe))
    assert tools == {"ruff", "mypy", "lint-imports"}  # `make test` runs the first, this file the others
    assert set(re.findall(r"entry: \.venv/bin/([\w-]+)", hooks)) == tools


def test_no_module_shadows_one_of_the_standard_library() -> None:
    """Run directly, a file has its folder first on the path: a neighbour `json.py` would be what it imports as json."""
    modules = list(PACKAGE.rglob("*.py"))
    assert len(modules) > 100
    assert [str(path) for path in modules if path.stem in sys.stdlib_module_names] == []


def test_nothing_is_evaluated_unpickled_or_trusted() -> None:
    modules = sorted(PACKAGE.rglob("*.py"))
    assert len(modules) > 100
    offences = [
        f"{path.relative_to(ROOT)}:{line}: {what}"
        for path in modules
        for line, what in _offences(ast.parse(path.read_text("utf-8")))
    ]
    assert offences == []


def test_an_offence_is_found_and_named() -> None:
    lines = [
        "eval(x)",
        "torch.load(f)",
        "torch.load(f, weights_only=True)",
        "load(x, trust_remote_code=y)",
        "re.compile(x)",
    ]
    assert list(_offences(ast.parse("\n".join(lines)))) == [
        (1, "eval"),
        (2, "torch.load without weights_only=True"),
        (4, "trust_remote_code"),
    ]


def _offences(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield line and name of each call that runs, unpickles or trusts what came from elsewhere."""
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call):
            continue
        called, keywords = ast.unparse(call.func), {word.arg: ast.unparse(word.value) for word in call.keywords}
        if called in NEVER_CALLED:
            yield call.lineno, called
        if called.endswith("torch.load") and keywords.get("weights_only") != "True":
            yield call.lineno, f"{called} without weights_only=True"
        if "trust_remote_code" in keywords:
            yield call.lineno, "trust_remote_code"


@pytest.mark.parametrize(
    "arguments",
    [[*command, "--help"] for command in ([], ["prompts", "show"], *([name] for name in COMMANDS))],
    ids=" ".join,
)
def test_help_imports_neither_torch_nor_transformers(arguments: list[str]) -> None:
    code = (
        "import sys; from extractor.cli import main; assert main(sys.argv[1:]) == 0; "
        "print(sorted({'torch', 'transformers'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Usage:")
    assert done.stderr.strip() == "[]"


def test_a_run_on_a_cpu_does_not_import_what_torch_has_for_its_compiler(tmp_path: Path) -> None:
    """Sympy alone is half a second of every start."""
    (tmp_path / "a.txt").write_text("手机号 13800000000", encoding="utf-8")
    code = (
        "import sys; from extractor.cli import main; assert main(sys.argv[1:]) == 0; "
        "print(sorted({'sympy', 'torch._dynamo'} & set(sys.modules)), file=sys.stderr)"
    )
    line = [sys.executable, "-c", code, "extract", str(tmp_path / "a.txt"), "-s", "contact"]
    done = subprocess.run(line, capture_output=True, text=True, check=True, timeout=100)
    assert done.stderr.splitlines()[-1] == "[]"
