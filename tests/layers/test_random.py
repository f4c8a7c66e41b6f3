"""The counter-based random numbers behind dropout, against the published answers."""

import numpy as np

from pellucid.notation.random import threefry2x32
from tests.oracles import threefry


def test_published_answers() -> None:
    for counter, key, words in threefry.KNOWN_ANSWERS_20:
        given = [np.array([word], dtype=np.uint32) for word in (*key, *counter)]
        got = threefry2x32(*given)
        assert [int(word[0]) for word in got] == list(words)


def test_arrays_of_counters_agree_with_one_at_a_time(generator: np.random.Generator) -> None:
    words = generator.integers(0, 2**32, size=(4, 50), dtype=np.uint32)
    got = threefry2x32(*words)
    assert all(word.dtype == np.uint32 and word.shape == (50,) for word in got)
    for number in range(words.shape[1]):
        key0, key1, counter0, counter1 = (int(word) for word in words[:, number])
        expected = threefry.threefry2x32((key0, key1), (counter0, counter1))
        assert (int(got[0][number]), int(got[1][number])) == expected
