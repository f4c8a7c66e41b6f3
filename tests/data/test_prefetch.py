"""The background thread: in order, bounded, its errors reach the consumer, and it always ends."""

import gc
import threading
import time

import pytest

from pellucid.data.prefetch import Prefetcher


def ends(name: str) -> bool:
    """Whether every thread of this name ends soon."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        if not any(thread.name == name for thread in threading.enumerate()):
            return True
        time.sleep(0.005)
    return False


def test_everything_in_order():
    assert list(Prefetcher(iter(range(1, 500)), 3, "t-order")) == list(range(1, 500))
    assert ends("t-order")


def test_at_most_depth_items_ahead():
    made: list[int] = []

    def items():
        for number in range(1, 100):
            made.append(number)
            yield number

    with Prefetcher(items(), 3, "t-bound") as ahead:
        assert next(ahead) == 1
        time.sleep(0.25)
        # One taken, three waiting, one in the producer's hand.
        assert len(made) == 5
    assert ends("t-bound")


def test_errors_come_out_after_the_items_before_them():
    def items():
        yield 1
        yield 2
        raise ValueError("from the thread")

    ahead = Prefetcher(items(), 2, "t-error")
    assert next(ahead) == 1 and next(ahead) == 2
    with pytest.raises(ValueError, match="from the thread") as caught:
        next(ahead)
    assert any(entry.name == "items" for entry in caught.traceback)
    with pytest.raises(StopIteration):
        next(ahead)
    assert ends("t-error")


def endless():
    number = 0
    while True:
        number += 1
        yield number


def test_closing_ends_the_thread_at_once():
    ahead = Prefetcher(endless(), 2, "t-close")
    assert next(ahead) == 1
    ahead.close()
    assert not any(thread.name == "t-close" for thread in threading.enumerate())
    with pytest.raises(StopIteration):
        next(ahead)
    ahead.close()


def test_leaving_a_loop_early_ends_the_thread():
    for number in Prefetcher(endless(), 2, "t-break"):
        if number == 3:
            break
    gc.collect()
    assert ends("t-break")


def test_an_abandoned_cycle_is_collected():
    holder: dict[str, object] = {"ahead": Prefetcher(endless(), 2, "t-cycle")}
    holder["self"] = holder
    del holder
    gc.collect()
    assert ends("t-cycle")


def test_an_exhausted_prefetcher_stays_exhausted():
    ahead = Prefetcher(iter([1]), 1, "t-done")
    assert list(ahead) == [1] and list(ahead) == []
