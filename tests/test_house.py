"""The house rules that a machine can check: who may import whom, what is never called, what a wheel holds."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "extractor"
MAY_IMPORT_TORCH = ("chatglm3", "engine", "kernels", "precisions/_support", "backends/chatglm3.py")
COMMANDS = ("chat", "evaluate", "extract", "plan", "report", "run")
LAYERS = [  # a layer may import from those below it
    {"cli"},
    {"api", "estimate", "distributed"},
    {"pipeline", "report"},
    {"stages", "ingest", "backends", "evaluation", "diagnostics", "storage", "sinks"},
    {"readers"},
    {"engine", "encodings"},
    {"chatglm3", "precisions", "kernels"},
    {"task", "text"},
    {"config", "plugins"},
    {"data"},
    {"errors"},
]


def _modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def _imports(path: Path, *, at_run_time: bool = True) -> Iterator[str]:
    """Absolute names of all modules that a file imports, those for the type checker left out."""
    tree = ast.parse(path.read_text("utf-8"))
    for node in ast.walk(tree):
        if at_run_time and isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: write absolute imports"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _room(module: str) -> str:
    """`extractor.readers.txt` lives in the room `readers`."""
    return module.split(".")[1] if "." in module else ""


def _layer(room: str) -> int | None:
    return next((number for number, rooms in enumerate(LAYERS) if room in rooms), None)


@pytest.mark.parametrize("path", _modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_from_the_layers_below_it(path: Path) -> None:
    room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if room.startswith("__"):
        return
    mine = _layer(room)
    assert mine is not None, f"{room} stands in no layer: give it a place in LAYERS"
    for name in _imports(path):
        theirs = _layer(_room(name)) if name.startswith("extractor.") else None
        if theirs is not None and _room(name) != room:
            assert theirs > mine, f"{room} must not import {name}"


@pytest.mark.parametrize("path", _modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_click_and_torch_stay_in_their_rooms(path: Path) -> None:
    place = path.relative_to(PACKAGE).as_posix()
    roots = {name.split(".")[0] for name in _imports(path)}
    assert "click" not in roots or place.startswith("cli/")
    assert not roots & {"torch", "transformers"} or place.startswith(MAY_IMPORT_TORCH)


@pytest.mark.parametrize("path", _modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_is_evaluated_unpickled_or_trusted(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in ("eval", "exec", "pickle.load", "pickle.loads", "compile"), f"{path}: {called}"
            if called.endswith("torch.load"):
                assert any(k.arg == "weights_only" and ast.unparse(k.value) == "True" for k in node.keywords)
        if isinstance(node, ast.keyword) and node.arg == "trust_remote_code":
            pytest.fail(f"{path} trusts remote code")


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
