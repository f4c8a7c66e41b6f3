"""The languages in which Pellucid explains: English, Turkish, Persian and Korean, from catalogues of sentences."""

from pellucid.languages.catalogue import CODES, Catalogue, catalogue, subjects
from pellucid.languages.digits import DIGIT_STYLES, native_digits
from pellucid.languages.prose import Prose, math

__all__ = ["CODES", "DIGIT_STYLES", "Catalogue", "Prose", "catalogue", "math", "native_digits", "subjects"]
