"""The facade of plugins: every name that it promises is there, and importing it costs nothing."""

import subprocess
import sys
from pathlib import Path

import pytest

from extractor import plugins
from extractor.errors import UsageError

EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "plugin" / "extractor_subtitles"


@pytest.mark.parametrize("name", plugins.__all__)
def test_every_name_of_the_facade_is_there(name: str) -> None:
    assert getattr(plugins, name).__module__.startswith(("extractor.", "typing"))


def test_a_name_that_is_not_of_the_facade_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = plugins.Nothing


def test_importing_the_facade_imports_neither_torch_nor_a_reader_nor_a_sink() -> None:
    code = (
        "import sys; from extractor.plugins import Document, Problem; "
        "print([name for name in ('torch', 'transformers', 'click', 'extractor.readers', 'extractor.sinks') "
        "if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize("path", sorted(EXAMPLE.glob("*.py")), ids=lambda path: path.name)
def test_the_example_imports_from_the_facade_alone(path: Path) -> None:
    imports = [
        line.split()[1] for line in path.read_text("utf-8").splitlines() if line.startswith(("from ", "import "))
    ]
    assert {name for name in imports if name.startswith("extractor")} <= {"extractor.plugins"}


def test_the_modules_of_a_folder_are_its_files_without_the_helpers() -> None:
    from extractor import readers

    folder = Path(readers.__file__).parent
    names = [module.__name__.rpartition(".")[2] for module in plugins.modules("extractor.readers")]
    assert names[: len(set(names))] == sorted(path.stem for path in folder.glob("[a-z]*.py"))


def test_an_entry_point_that_does_not_load_names_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "broken-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[extractor.nothing]\nx = broken_module_that_is_not_there\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UsageError, match="The package broken adds 'x' to extractor.nothing"):
        plugins.load_all("extractor.nothing")
