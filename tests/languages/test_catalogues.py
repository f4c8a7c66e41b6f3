"""Catalogues: every language says everything, with the same gaps."""

from __future__ import annotations

import json
from importlib.resources import files
from string import Formatter

import pytest

from pellucid import languages
from pellucid.errors import UsageError


def gaps(sentence: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(sentence) if name is not None}


@pytest.mark.parametrize("code", languages.CODES)
def test_every_language_has_the_same_sentences_with_the_same_gaps(code: str) -> None:
    assert languages.subjects()
    for subject in languages.subjects():
        english = languages.catalogue("en", subject).sentences
        other = languages.catalogue(code, subject).sentences
        assert set(other) == set(english), subject
        for key, sentence in english.items():
            assert gaps(other[key]) == gaps(sentence), (subject, key)
            assert other[key].strip(), (subject, key)


@pytest.mark.parametrize("code", ["tr", "fa", "ko"])
def test_translations_are_not_left_in_english(code: str) -> None:
    for subject in languages.subjects():
        english = languages.catalogue("en", subject).sentences
        other = languages.catalogue(code, subject).sentences
        prose = [key for key, sentence in english.items() if sum(c.isalpha() for c in sentence) > 20]
        assert [key for key in prose if other[key] == english[key]] == [], subject


def test_no_catalogue_belongs_to_one_language_alone() -> None:
    root = files("pellucid.languages")
    for code in languages.CODES:
        names = {entry.name for entry in (root / code).iterdir() if entry.name.endswith(".json")}
        assert names == {f"{subject}.json" for subject in languages.subjects()}
        for name in names:
            pairs = json.loads((root / code / name).read_text(encoding="utf-8"), object_pairs_hook=list)
            keys = [key for key, _ in pairs]
            assert len(keys) == len(set(keys)), (code, name)


def test_an_unknown_language_is_refused() -> None:
    with pytest.raises(UsageError, match="no language 'de'; there are en, tr, fa, ko"):
        languages.catalogue("de", "words")


def test_persian_runs_from_right_to_left() -> None:
    assert languages.catalogue("fa", "words").direction == "rtl"
    assert languages.catalogue("ko", "words").direction == "ltr"


def test_persian_digits_and_decimal_point() -> None:
    assert languages.native_digits("12.5 to 30.", "fa") == "۱۲٫۵ to ۳۰."
    assert languages.native_digits("12.5", "ko") == "12.5"
