"""A run in an event loop: records are waited for in a thread, and documents may come from an asynchronous iterator."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterable, AsyncIterator, Generator, Iterator
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class _End:
    """What comes after the last item, which may be any object itself."""


END = _End()


class Pulled(Iterator[T]):
    """An asynchronous iterator of a loop, for a thread beside it to take its items."""

    def __init__(self, items: AsyncIterable[T]) -> None:
        self._items = aiter(items)
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._closed = False
        self._asked: Future[T | _End] | None = None
        self._idle = asyncio.Event()
        self._idle.set()

    def __next__(self) -> T:
        with self._lock:
            if self._closed:
                raise StopIteration
            self._asked = asyncio.run_coroutine_threadsafe(self._after(), self._loop)
        item = self._asked.result()
        if isinstance(item, _End):
            raise StopIteration
        return item

    async def close(self) -> None:
        """Ask for no further item, and wait until nothing of the iterator runs any more."""
        with self._lock:
            self._closed = True
        if self._asked is not None:
            self._asked.cancel()
        await self._idle.wait()

    async def _after(self) -> T | _End:
        self._idle.clear()
        try:
            return await anext(self._items, END)
        finally:
            self._idle.set()


async def pushed(
    records: Generator[T, None, None], stop: threading.Event, documents: Pulled[Any] | None = None
) -> AsyncIterator[T]:
    """Yield what a generator yields, each item waited for in a thread. Leaving early ends it after its present step."""
    loop = asyncio.get_running_loop()
    step: asyncio.Future[T | _End] | None = None
    try:
        while True:
            step = loop.run_in_executor(None, next, records, END)
            item = await asyncio.shield(step)
            if isinstance(item, _End):
                return
            yield item
    finally:
        stop.set()
        if documents is not None:
            await documents.close()
        if step is not None and not step.done():
            await asyncio.wait([step])
        records.close()
