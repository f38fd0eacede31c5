"""The package from Python: one model for many threads, records as they are done, and names that explain themselves."""

import inspect
import itertools
import pkgutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module

import pytest

import extractor
from extractor import Document, Extractor, FailedDocument, Record, RunConfig
from extractor.backends import scripted
from extractor.data import Completion, Prompt, Source
from extractor.errors import ExtractorError, Problem

FOUND = '{"手机号": "%s", "邮箱": null, "账号": null, "密码": null}'


class Counting(scripted.Backend):
    """Answers with the text's number; knows how often it was loaded and whether two threads were ever in it."""

    loaded = freed = 0
    batches: list[set[str]] = []

    def __init__(self, config: object = None) -> None:
        super().__init__(answer=lambda prompt: FOUND % prompt.chunk.text.split()[-1], batch=64)
        self._inside = threading.Lock()

    def submit(self, prompt: Prompt) -> None:
        assert self._inside.acquire(blocking=False), "two threads are in the backend"
        super().submit(prompt)
        self._inside.release()

    def collect(self) -> list[Completion]:
        assert self._inside.acquire(blocking=False), "two threads are in the backend"
        done = super().collect()
        self.batches.append({completion.prompt.chunk.text[0] for completion in done})
        self._inside.release()
        return done

    def __enter__(self) -> "Counting":
        Counting.loaded += 1
        return self

    def __exit__(self, *exc: object) -> None:
        Counting.freed += 1
        super().__exit__(*exc)


@pytest.fixture(autouse=True)
def _counting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scripted, "Backend", Counting)
    Counting.loaded = Counting.freed = 0
    Counting.batches = []


def _texts(thread: str, count: int) -> list[str]:
    return [f"{thread} 手机号 1380000{number:04d}" for number in range(count)]


def _phones(records: Iterator[Record] | list[Record]) -> list[str]:
    return sorted(record.data["手机号"] for record in records if record.data)


def test_threads_share_one_model_and_each_gets_its_own_records() -> None:
    with Extractor("contact", backend="scripted") as shared, ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda name: list(shared.run(_texts(name, 200))), "ABCDEFGH"))
    expected = [f"1380000{number:04d}" for number in range(200)]
    assert [_phones(records) for records in found] == [expected] * 8
    assert (Counting.loaded, Counting.freed) == (1, 1)
    assert any(len(batch) > 1 for batch in Counting.batches), "no batch held prompts of two threads"


def test_a_run_may_go_on_inside_the_loop_over_another_and_one_may_be_left() -> None:
    with Extractor("contact", backend="scripted", config=RunConfig(window=4)) as shared:
        outer = shared.run(_texts("A", 20))
        first = next(outer)
        assert shared.extract("B 手机号 13900000005").data == {
            "手机号": "13900000005",
            "邮箱": None,
            "账号": None,
            "密码": None,
        }
        assert len([first, *outer]) == 20
        next(shared.run(_texts("C", 20)))  # and never again
        assert _phones(shared.run(_texts("D", 3))) == ["13800000000", "13800000001", "13800000002"]


def test_records_come_as_they_are_done_out_of_an_endless_input() -> None:
    taken = 0

    def endless() -> Iterator[str | Document | FailedDocument]:
        nonlocal taken
        for number in itertools.count():
            taken += 1
            yield (
                f"手机号 1380000{number:04d}"
                if number % 3
                else FailedDocument(f"u{number}", Source("", ""), Problem("io", "gone"))
            )

    with Extractor("contact", backend="scripted", config=RunConfig(window=8)) as shared:
        records = list(itertools.islice(shared.run(endless()), 100))
    assert {record.status for record in records} == {"ok", "failed"}
    assert taken < 150


def test_closing_frees_the_model_and_the_next_use_loads_it_again() -> None:
    shared = Extractor("contact", backend="scripted")
    assert Counting.loaded == 0
    run = shared.run(_texts("A", 300))
    next(run)
    shared.close()
    with pytest.raises(ExtractorError, match="Close it after the run"):
        list(run)
    assert shared.extract("手机号 13800000001").status == "ok"
    shared.close()
    shared.close()
    assert (Counting.loaded, Counting.freed) == (2, 2)


def _public_names() -> list[str]:
    """Every name that a module of the package defines and does not hide, and their public members."""
    modules = ["extractor", *(found.name for found in pkgutil.walk_packages(extractor.__path__, "extractor."))]
    return [name for name in modules if not any(part.startswith("_") for part in name.split("."))]


@pytest.mark.parametrize("name", _public_names())
def test_every_public_name_is_documented(name: str) -> None:
    if name == "extractor.backends.vllm":
        pytest.importorskip("vllm", reason="vLLM has an environment of its own")
    module = import_module(name)
    assert module.__doc__, name
    undocumented = [
        f"{name}.{key}"
        for key, value in vars(module).items()
        if not key.startswith("_")
        and (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__ == name
        and not _documented(value)
    ]
    assert undocumented == []


@pytest.mark.parametrize("name", extractor.__all__)
def test_every_name_of_the_package_and_its_members_are_documented(name: str) -> None:
    value = getattr(extractor, name)
    assert inspect.getdoc(value)
    own = (
        [(key, member) for key, member in vars(value).items() if not key.startswith("_")]
        if isinstance(value, type)
        else []
    )
    for key, member in own:
        if inspect.isfunction(member) or isinstance(member, property | classmethod | staticmethod):
            assert inspect.getdoc(member), f"{name}.{key}"


def _documented(value: object) -> bool:
    doc = inspect.getdoc(value)
    return bool(doc) and not str(doc).startswith(f"{getattr(value, '__name__', '')}(")
