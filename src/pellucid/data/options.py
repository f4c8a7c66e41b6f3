"""The arguments people give, checked once."""

from __future__ import annotations

from pellucid.errors import ConfigError

BAD_FILES = ("error", "drop")


def as_size(size: int | tuple[int, int] | None) -> tuple[int, int] | None:
    """A side length or (height, width) to (height, width)."""
    if size is None:
        return None
    pair: tuple[object, ...] = tuple(size) if isinstance(size, tuple | list) else (size, size)
    sides = [side for side in pair if isinstance(side, int) and not isinstance(side, bool) and side > 0]
    if len(pair) != 2 or len(sides) != 2:
        raise ConfigError(f"size must be a side length or (height, width) in pixels, but is {size!r}.")
    return sides[0], sides[1]


def as_channels(channels: int | None) -> int | None:
    """1 (grey), 3 (colour) or None (as the images are)."""
    if channels not in (None, 1, 3):
        raise ConfigError(f"channels must be 1 (grey), 3 (colour) or None (as the images are), but is {channels!r}.")
    return channels


def as_fraction(validation: float) -> float:
    """The part of the training images cut off for validation."""
    if isinstance(validation, bool) or not isinstance(validation, int | float) or not 0 <= validation < 1:
        raise ConfigError(f"validation must be a fraction from 0 up to, not including, 1, but is {validation!r}.")
    return float(validation)


def as_policy(bad_files: str) -> str:
    """What to do with unreadable files."""
    if bad_files not in BAD_FILES:
        raise ConfigError(f'bad_files must be "error" or "drop", but is {bad_files!r}.')
    return bad_files
