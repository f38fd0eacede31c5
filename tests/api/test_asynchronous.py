"""Runs in an event loop: it goes on meanwhile, may feed the run, and leaving the loop early ends it."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from extractor import Extractor, RunConfig, TypedRecord
from extractor.backends import scripted
from extractor.data import Completion
from extractor.errors import ExtractorError
from tests.api.conftest import FOUND, TEXT, Contact


class Slow(scripted.Backend):
    """Answers one prompt at a time, each after a moment."""

    def __init__(self, config: object = None) -> None:
        super().__init__(answer=lambda prompt: '{"手机号": "18888888888", "邮箱": null}', batch=1)

    def collect(self) -> list[Completion]:
        time.sleep(0.02)
        return super().collect()


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Extractor[Contact]]:
    monkeypatch.setattr(scripted, "Backend", Slow)
    with Extractor(Contact, backend="scripted", config=RunConfig(window=8)) as extractor:
        yield extractor


def test_records_come_from_an_async_for_and_in_order_on_request(contacts: Extractor[Contact]) -> None:
    async def main() -> list[TypedRecord[Contact]]:
        return [record async for record in contacts.arun([(str(n), TEXT) for n in range(20)], ordered=True)]

    records = asyncio.run(main())
    assert [record.id for record in records] == [str(n) for n in range(20)]
    assert {record.status for record in records} == {"ok"}
    assert all(record.parsed == FOUND for record in records)


def test_the_loop_goes_on_while_records_are_waited_for(slow: Extractor[Contact]) -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.001)
            ticks += 1

    async def main() -> int:
        ticking = asyncio.create_task(tick())
        count = len([record async for record in slow.arun([TEXT] * 10)])
        ticking.cancel()
        return count

    assert asyncio.run(main()) == 10
    assert ticks > 20


def test_documents_may_come_from_the_loop_and_depend_on_earlier_records(contacts: Extractor[Contact]) -> None:
    async def main() -> list[str]:
        texts: asyncio.Queue[str | None] = asyncio.Queue()
        texts.put_nowait(TEXT)

        async def feed() -> AsyncIterator[str]:
            while (text := await texts.get()) is not None:
                yield text

        found = []
        async for record in contacts.arun(feed()):
            found.append(record.id)
            texts.put_nowait(TEXT if len(found) < 3 else None)
        return found

    assert asyncio.run(main()) == ["0", "1", "2"]


def test_leaving_the_loop_early_ends_the_run_and_its_source(slow: Extractor[Contact]) -> None:
    taken = 0
    closed = asyncio.Event()

    async def endless() -> AsyncIterator[str]:
        nonlocal taken
        try:
            while True:
                taken += 1
                await asyncio.sleep(0)
                yield TEXT
        finally:
            closed.set()

    async def main() -> None:
        source = endless()
        records = slow.arun(source)
        async for _ in records:
            break
        await records.aclose()  # type: ignore[attr-defined]
        await source.aclose()  # type: ignore[attr-defined]
        await asyncio.wait_for(closed.wait(), 10)
        seen = taken
        await asyncio.sleep(0.1)
        assert taken == seen
        assert (await slow.aextract(TEXT)).data == {"手机号": "18888888888", "邮箱": None}

    asyncio.run(main())
    assert taken < 300


def test_a_cancelled_task_ends_its_run(slow: Extractor[Contact]) -> None:
    before = set(threading.enumerate())

    async def main() -> None:
        async def count() -> None:
            async for _ in slow.arun([TEXT] * 100_000):
                pass

        task = asyncio.create_task(count())
        await asyncio.sleep(0.1)
        task.cancel()
        started = time.monotonic()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert time.monotonic() - started < 10

    asyncio.run(main())
    for thread in set(threading.enumerate()) - before:
        if thread.name == "prefetch":
            thread.join(10)
            assert not thread.is_alive()


def test_an_error_of_the_source_is_raised_where_the_records_are_waited_for(contacts: Extractor[Contact]) -> None:
    async def broken() -> AsyncIterator[str]:
        yield TEXT
        raise ConnectionError("the source is gone")

    async def main() -> None:
        async for _ in contacts.arun(broken()):
            pass

    with pytest.raises(ConnectionError, match="the source is gone"):
        asyncio.run(main())


def test_closing_during_a_run_is_an_error_there(slow: Extractor[Contact]) -> None:
    async def main() -> None:
        async for _ in slow.arun([TEXT] * 100):
            slow.close()

    with pytest.raises(ExtractorError, match="Close it after the run"):
        asyncio.run(main())


def test_many_single_extractions_at_a_time_share_the_model(contacts: Extractor[Contact]) -> None:
    async def main() -> list[TypedRecord[Contact]]:
        return await asyncio.gather(*(contacts.aextract((f"d{n}", TEXT)) for n in range(8)))

    assert [(record.id, record.parsed) for record in asyncio.run(main())] == [(f"d{n}", FOUND) for n in range(8)]
