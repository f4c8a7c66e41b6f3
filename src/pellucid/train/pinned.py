"""Reading the files of one folder while its name may be given to another."""

import os
import stat
from pathlib import Path
from types import TracebackType

from pellucid.errors import CheckpointError, ResourceError


class PinnedFolder:
    """A folder that stays the same one while it is read, even when it is renamed and another takes its name.

    Its files are opened through the folder's descriptor, so they can be missing (when it is being removed)
    but never belong to another folder. While the descriptor is open the folder's inode number is not given
    away, so comparing numbers tells for certain whether the name still means this folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None
        if os.open in os.supports_dir_fd and os.stat in os.supports_dir_fd:  # not on Windows
            try:
                self._descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
            except OSError:
                self._descriptor = None  # `read` says what is missing

    def __enter__(self) -> "PinnedFolder":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)

    def is_still(self, path: Path) -> bool:
        """Say whether `path` names this very folder."""
        if path != self.path:
            return False
        if self._descriptor is None:
            return not path.is_dir()
        try:
            return os.path.samestat(os.fstat(self._descriptor), os.stat(path))
        except OSError:
            return False

    def read(self, name: str) -> bytes:
        """Return a file's content. Raises CheckpointError naming it if that is not possible."""
        path = self.path / name
        try:
            if not stat.S_ISREG(self._status(name)):
                raise CheckpointError(f"{path} is not a regular file.")
            with open(self._located(name), "rb", opener=self._open) as file:
                return file.read()
        except FileNotFoundError as error:
            raise CheckpointError(f"{path} is missing. Restore the folder from a copy, or start a new run.") from error
        except OSError as error:
            raise CheckpointError(f"{path} cannot be read: {error.strerror or error}.") from error
        except MemoryError as error:
            raise ResourceError(f"{path} does not fit in memory.") from error

    def _located(self, name: str) -> str:
        return str(self.path / name) if self._descriptor is None else name

    def _status(self, name: str) -> int:
        return os.stat(self._located(name), dir_fd=self._descriptor).st_mode

    def _open(self, name: str, flags: int) -> int:
        return os.open(name, flags, dir_fd=self._descriptor)
