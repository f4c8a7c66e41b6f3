"""What can go wrong, by the exit code the command line gives for it.

Every message says where, what must hold, what came, and what to do.
"""


class PellucidError(Exception):
    """Base of all errors that are the user's to see: printed without a traceback."""

    exit_code = 1


class UsageError(PellucidError):
    """A command or an argument that does not exist or does not fit."""

    exit_code = 2


class ConfigError(UsageError):
    """A configuration that contradicts itself or names unknown things."""


class ShapeError(UsageError):
    """Tensors whose extents do not fit a layer's equation."""


class NotationError(UsageError):
    """An equation that is not well formed."""


class DataError(PellucidError):
    """Data that is missing, damaged or not what it claims to be."""

    exit_code = 3


class CheckpointError(DataError):
    """A checkpoint that is damaged or belongs to another model."""


class DivergedError(PellucidError):
    """A loss, activation or gradient became NaN or infinite."""

    exit_code = 4


class ResourceError(PellucidError):
    """Disk, memory or permissions ran out."""

    exit_code = 5


class CheckFailedError(PellucidError):
    """A check the user asked for did not hold."""

    exit_code = 6


class MissingExtraError(PellucidError):
    """An optional dependency is not installed; the message says what to install."""

    exit_code = 7
