"""Items made ahead in a background thread, a bounded number of them."""

from __future__ import annotations

import queue
import threading
import weakref
from collections.abc import Iterator
from types import TracebackType
from typing import Generic, TypeVar

Item = TypeVar("Item")

_PATIENCE = 0.1
"""Seconds after which a producer that waits for a place looks whether anyone still wants its items."""


class _Channel(Generic[Item]):
    """A bounded queue that the consumer can abandon."""

    def __init__(self, depth: int) -> None:
        self.queue: queue.Queue[tuple[Item | None, BaseException | None]] = queue.Queue(depth)
        self.abandoned = False

    def abandon(self) -> None:
        # Only a flag: this may run in the garbage collector, where taking a lock could wait for itself.
        self.abandoned = True

    def put(self, item: Item | None, error: BaseException | None = None) -> bool:
        """Wait for a place; False when nobody waits for items any more."""
        while not self.abandoned:
            try:
                self.queue.put((item, error), timeout=_PATIENCE)
            except queue.Full:
                continue
            return True
        return False


class Prefetcher(Iterator[Item]):
    """Runs an iterator in a thread, at most ``depth`` items ahead; what it raises is raised by ``next``.

    The thread ends after the last item, on ``close`` (also at the end of a ``with`` block), and when the
    prefetcher is garbage-collected.
    """

    def __init__(self, items: Iterator[Item], depth: int, name: str) -> None:
        self._channel: _Channel[Item] = _Channel(depth)
        # The thread must not refer to self, or an abandoned prefetcher would never be collected.
        self._thread = threading.Thread(target=_produce, args=(items, self._channel), name=name, daemon=True)
        self._finalizer = weakref.finalize(self, self._channel.abandon)
        self._thread.start()

    def __iter__(self) -> Prefetcher[Item]:
        return self

    def __next__(self) -> Item:
        if self._channel.abandoned:
            raise StopIteration
        item, error = self._channel.queue.get()
        if item is not None:
            return item
        self.close()
        if error is not None:
            raise error
        raise StopIteration

    def close(self) -> None:
        """Stop the thread and wait for its end; harmless when repeated."""
        self._finalizer()
        while self._thread.is_alive():
            try:
                self._channel.queue.get_nowait()
            except queue.Empty:
                self._thread.join(_PATIENCE / 10)

    def __enter__(self) -> Prefetcher[Item]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _produce(items: Iterator[Item], channel: _Channel[Item]) -> None:
    try:
        for item in items:
            if not channel.put(item):
                return
        channel.put(None)
    except BaseException as error:
        channel.put(None, error)
