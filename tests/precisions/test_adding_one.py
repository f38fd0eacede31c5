"""A precision is one file, here or in another package, and nothing else is edited."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from extractor import plugins, precisions
from extractor.chatglm3.checkpoint import load_parameters
from extractor.engine.engine import Engine
from extractor.engine.model_runner import ModelRunner
from extractor.errors import UsageError
from extractor.precisions import find_precision, names
from tests.engine.answering import CHECKPOINT, CONFIG, TOKENIZER, request, run

OURS = Path(precisions.__file__).parent
TEXT = "手机号18888888888，邮箱123456789@qq.com"

LAYER_OF_ITS_OWN = '''
"""float32 with the weight transposed: a layer that says only what every layer must."""

import torch
from torch.nn import functional

from extractor.precisions._support.linear import LinearLayer
from extractor.precisions._support.precision import Precision


class Product:
    def __init__(self, layer):
        self.weight, self.bias = layer.weight, layer.bias

    def __call__(self, x):
        return functional.linear(x, self.weight.t(), self.bias)

    def plus(self, x, residual):
        return residual + self(x)


class Transposed(LinearLayer):
    def __init__(self, in_features, out_features, bias=False, device=None, dtype=torch.float32):
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        self.register_buffer("weight", torch.empty(in_features, out_features, dtype=dtype, device=device))
        self.register_buffer("bias", torch.empty(out_features, dtype=dtype, device=device) if bias else None)

    @classmethod
    def from_float(cls, weight, bias=None, dtype=torch.float32):
        layer = cls(weight.shape[1], weight.shape[0], bias is not None, weight.device, dtype)
        layer.fill(weight)
        if bias is not None:
            layer.bias.copy_(bias)
        return layer

    @classmethod
    def stack(cls, parts):
        biases = [part.bias for part in parts if part.bias is not None]
        return cls.from_float(torch.cat([part.weight.t() for part in parts]), torch.cat(biases) if biases else None)

    def rows(self, order):
        return self.from_float(self.weight.t()[order], None if self.bias is None else self.bias[order])

    def fill(self, weight):
        self.weight.copy_(weight.t())

    def plain_product(self):
        return Product(self)


PRECISION = Precision("float32", "float32", 4, 4, 4, layer=lambda columns, output: Transposed)
'''


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    """Forget the precisions of a test."""
    yield
    precisions._load.cache_clear()
    for name in [name for name in sys.modules if name.endswith("added_precision")]:
        del sys.modules[name]


def _answer(precision: str) -> tuple[list[int], str | None]:
    """Return what the engine answers with the tiny reference model in a precision."""
    engine = Engine(ModelRunner(load_parameters(CHECKPOINT, precision, "cpu")), TOKENIZER.stop_ids, CONFIG, 2**28)
    key = engine.add(request(TEXT, constrain=True))
    output = run(engine)[key]
    engine.close()
    return output.ids, output.finish


def _put_beside_ours(monkeypatch: pytest.MonkeyPatch, folder: Path, source: str) -> None:
    (folder / "added_precision.py").write_text(source, "utf-8")
    monkeypatch.setattr(precisions, "__path__", [*precisions.__path__, str(folder)])


def test_a_copied_file_is_a_precision_of_that_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _put_beside_ours(monkeypatch, tmp_path, (OURS / "float32.py").read_text("utf-8"))
    assert "added_precision" in names()
    assert find_precision("added_precision").name == "added_precision"
    assert _answer("added_precision") == _answer("float32")


def test_a_file_may_bring_a_layer_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _put_beside_ours(monkeypatch, tmp_path, LAYER_OF_ITS_OWN)
    assert _answer("added_precision") == _answer("float32")


def _install(monkeypatch: pytest.MonkeyPatch, folder: Path, source: str) -> None:
    """As another package that names a module under an entry point."""
    (folder / "of_an_added_precision.py").write_text(source, "utf-8")
    monkeypatch.syspath_prepend(str(folder))
    point = EntryPoint("elsewhere", "of_an_added_precision", "extractor.precisions")
    monkeypatch.setattr(plugins, "found", lambda group: {point.name: point} if group == point.group else {})


def test_another_package_adds_a_precision(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _install(monkeypatch, tmp_path, (OURS / "float32.py").read_text("utf-8"))
    assert "elsewhere" in names()
    assert "of_an_added_precision" not in sys.modules
    assert _answer("elsewhere") == _answer("float32")


def test_a_package_that_does_not_load_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _install(monkeypatch, tmp_path, "import a_package_that_there_is_not")
    with pytest.raises(UsageError, match="adds 'elsewhere' to extractor.precisions, but it does not load"):
        find_precision("elsewhere")


def test_names_are_listed_without_importing_a_precision_and_their_bytes_without_torch() -> None:
    code = """
import sys
from extractor.precisions import load_precisions, names
assert names() == ["bfloat16", "float16", "float32", "half", "int4", "int8"]
assert not {f"extractor.precisions.{name}" for name in names()} & sys.modules.keys()
from extractor.chatglm3.model_dims import CHATGLM3_6B
assert all(precision.needed_bytes(CHATGLM3_6B) > 4e9 for precision in load_precisions().values())
print("torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
