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
        self._waiting: Future[T | _End] | None = None

    def __next__(self) -> T:
        self._waiting = asyncio.run_coroutine_threadsafe(_after(self._items), self._loop)
        item = self._waiting.result()
        if isinstance(item, _End):
            raise StopIteration
        return item

    def close(self) -> None:
        """Stop waiting for an item, if somebody does."""
        if self._waiting is not None:
            self._waiting.cancel()


async def _after(items: AsyncIterator[T]) -> T | _End:
    return await anext(items, END)


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
            documents.close()
        if step is not None and not step.done():
            await asyncio.wait([step])
        records.close()
