"""Batches: every image once per epoch, the same order for the same seed and epoch, exact resumption."""

import gc
import threading
import time

import numpy as np
import pytest

from pellucid.data import Batches, Dataset, Normalisation, RandomCrop, RandomHorizontalFlip
from pellucid.errors import ConfigError

COUNT = 23
IMAGES = np.random.default_rng(0).integers(0, 256, (COUNT, 1, 6, 8)).astype(np.uint8)
DATASET = Dataset(IMAGES, np.arange(COUNT) % 3, ("a", "b", "c"), Normalisation((0.4,), (0.2,)))
AUGMENT = (RandomHorizontalFlip(), RandomCrop(2))


def collected(batches) -> tuple[np.ndarray, np.ndarray]:
    pairs = list(batches)
    return np.concatenate([x for x, _ in pairs]), np.concatenate([y for _, y in pairs])


@pytest.mark.parametrize("prefetch", [0, 1, 2, 50])
def test_every_image_once(prefetch):
    batches = Batches(DATASET, 5, seed=1, epoch=2, prefetch=prefetch)
    assert len(batches) == 5
    sizes = [len(y) for _, y in batches]
    assert sizes == [5, 5, 5, 5, 3]
    x, y = collected(batches)
    assert x.dtype == np.float32 and y.dtype == np.int64
    order = batches.order()
    assert sorted(order.tolist()) == list(range(COUNT))
    np.testing.assert_array_equal(x, DATASET.normalisation.apply(IMAGES[order]))
    np.testing.assert_array_equal(y, DATASET.labels[order])


def test_without_shuffling():
    x, y = collected(Batches(DATASET, 4, shuffle=False, seed=5, epoch=9))
    np.testing.assert_array_equal(x, DATASET.normalisation.apply(IMAGES))
    np.testing.assert_array_equal(y, DATASET.labels)


def test_seed_and_epoch_make_the_order():
    orders = {
        key: tuple(Batches(DATASET, 5, seed=key[0], epoch=key[1]).order()) for key in [(0, 0), (0, 1), (1, 0), (1, 1)]
    }
    assert len(set(orders.values())) == 4
    assert orders[1, 1] == tuple(Batches(DATASET, 7, seed=1, epoch=1).order())


@pytest.mark.parametrize("start", range(6))
def test_a_resumed_epoch_is_the_rest_of_the_whole(start):
    whole = list(Batches(DATASET, 5, seed=3, epoch=4, transforms=AUGMENT))
    rest = Batches(DATASET, 5, seed=3, epoch=4, start=start, transforms=AUGMENT)
    assert len(rest) == 5 - start
    for (x, y), (expected_x, expected_y) in zip(rest, whole[start:], strict=True):
        np.testing.assert_array_equal(x, expected_x)
        np.testing.assert_array_equal(y, expected_y)


def test_random_changes_belong_to_the_image_not_to_its_batch():
    def by_image(batch_size: int, shuffle: bool) -> np.ndarray:
        batches = Batches(DATASET, batch_size, shuffle, seed=8, epoch=1, transforms=AUGMENT)
        changed = np.empty((COUNT, 1, 6, 8), np.float32)
        changed[batches.order()] = collected(batches)[0]
        return changed

    np.testing.assert_array_equal(by_image(5, True), by_image(COUNT, False))
    other = collected(Batches(DATASET, 5, False, seed=8, epoch=2, transforms=AUGMENT))[0]
    assert not np.array_equal(other, by_image(5, False))


def test_augmenting_leaves_the_data_alone():
    before = IMAGES.copy()
    list(Batches(DATASET, 5, transforms=AUGMENT))
    np.testing.assert_array_equal(IMAGES, before)


def test_an_error_in_the_thread_reaches_the_loop():
    def broken(images, draws):
        raise RuntimeError("no such luck")

    with pytest.raises(RuntimeError, match="no such luck"):
        list(Batches(DATASET, 5, transforms=[broken]))


def test_the_thread_ends_when_the_loop_is_left():
    for _ in Batches(DATASET, 1):
        break
    gc.collect()
    deadline = time.monotonic() + 5
    while any(thread.name == "pellucid-batches" for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, "batch_size must be 1 or more, but is 0"),
        ({"prefetch": -1}, "prefetch must be 0 or more batches, but is -1"),
        ({"start": 6}, "start must be a batch number from 0 to 5, but is 6"),
        ({"start": -1}, "start must be a batch number"),
        ({"seed": -1}, "seed must be a whole number"),
        ({"epoch": -1}, "epoch must be a whole number"),
    ],
)
def test_arguments_that_cannot_be(arguments, message):
    with pytest.raises(ConfigError, match=message):
        Batches(**{"dataset": DATASET, "batch_size": 5} | arguments)
