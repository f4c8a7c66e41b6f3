"""Prose: mathematics keeps its direction and its digits, whatever the sentence does."""

import pytest

from pellucid.errors import UsageError
from pellucid.languages import Prose, math


def test_marks_are_dropped_where_prose_runs_from_left_to_right() -> None:
    assert Prose("ko", "words").set("값은 `Y[0] = 2.5` 12") == "값은 Y[0] = 2.5 12"
    assert Prose("ko", "words", "native").set("값은 `Y[0] = 2.5` 12") == "값은 Y[0] = 2.5 12"


def test_mathematics_is_isolated_in_persian_and_keeps_its_digits() -> None:
    text = f"مقدار {math('Y[0] = 2.5')} در گام 12"
    assert Prose("fa", "words").set(text) == "مقدار \u2066Y[0]\u00a0=\u00a02.5\u2069 در گام 12"
    native = Prose("fa", "words", "native")
    assert native.set(text) == "مقدار \u2066Y[0]\u00a0=\u00a02.5\u2069 در گام ۱۲"
    assert native.set(native.set(text)) == native.set(text)


def test_wide_letters_make_shorter_lines() -> None:
    words = "가나다 " * 40
    english, korean = Prose("en", "words").wrap(words), Prose("ko", "words").wrap(words, "  ")
    assert max(map(len, english)) <= 100 < 2 * max(map(len, english))
    assert max(map(len, korean)) <= 60 and all(line.startswith("  가") for line in korean)
    assert "".join(english).split() != [] and " ".join(english).split() == words.split()


def test_another_subject_keeps_language_and_digits() -> None:
    assert Prose("fa", "words", "native").of("words") == Prose("fa", "words", "native")
    assert Prose("tr", "words")("layer") == "katman"
    assert Prose("tr", "words").knows("layer") and not Prose("tr", "words").knows("no such key")


@pytest.mark.parametrize(("code", "digits", "complaint"), [("de", "latin", "no language"), ("fa", "roman", "no digit")])
def test_what_there_is_not(code: str, digits: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        Prose(code, "words", digits)
