"""Orders and cuts: fair, stratified, disjoint, and the same for ever."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pellucid.data.partition import check_seed, random_order, stratified_cut
from pellucid.errors import ConfigError


@given(st.integers(0, 300), st.lists(st.integers(0, 2**40), min_size=1, max_size=4))
def test_an_order_holds_every_number_once(count, key):
    assert sorted(random_order(count, key).tolist()) == list(range(count))


def test_orders_never_change():
    # Raw PCG64 numbers, sorted; kept here so that no version of NumPy or of ours reorders a stored run.
    assert random_order(10, (0, 0)).tolist() == [7, 3, 6, 0, 8, 1, 4, 9, 5, 2]
    assert random_order(10, (7, 3)).tolist() == [9, 7, 0, 8, 5, 1, 2, 3, 6, 4]


def test_different_keys_give_different_orders():
    keys = [(0,), (1,), (0, 0), (0, 1), (1, 0), (0, 0, 0), (2**40,)]
    orders = {tuple(random_order(50, key)) for key in keys}
    assert len(orders) == len(keys)


def test_every_place_is_equally_likely():
    counts = np.zeros((6, 6))
    for seed in range(3000):
        counts[np.arange(6), random_order(6, (seed,))] += 1
    # 36 cells of 500 on average; the chi-squared statistic has 25 degrees of freedom (99.99%: 61).
    assert ((counts - 500) ** 2 / 500).sum() < 61


@settings(deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=200), st.floats(0, 0.99), st.integers(0, 99))
def test_a_cut_is_stratified_and_loses_nothing(labels, fraction, seed):
    array = np.array(labels, dtype=np.int64)
    kept, cut = stratified_cut(array, fraction, (seed,))
    assert sorted([*kept, *cut]) == list(range(len(labels)))
    assert list(kept) == sorted(kept) and list(cut) == sorted(cut)
    for label in set(labels):
        whole, taken = labels.count(label), int((array[cut] == label).sum())
        assert taken < whole
        assert abs(taken - fraction * whole) <= 0.5 or taken == (1 if fraction * whole < 0.5 else whole - 1)
        if fraction == 0:
            assert taken == 0
        elif whole >= 3:
            assert taken >= 1


def test_a_cut_depends_on_the_seed_alone():
    labels = np.repeat(np.arange(4), 50)
    first, again, other = (stratified_cut(labels, 0.3, (seed,))[1] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("seed", [-1, 1.5, "0", None, True, 2**63])
def test_seeds_that_cannot_be(seed):
    with pytest.raises(ConfigError, match="seed must be a whole number from 0"):
        check_seed(seed)


def test_seeds():
    assert check_seed(np.int64(5)) == 5 and check_seed(2**63 - 1) == 2**63 - 1
