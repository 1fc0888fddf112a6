"""The lock that keeps a second writer out of a run directory."""

from __future__ import annotations

import fcntl
import os
import weakref
from pathlib import Path

from ponder.errors import RunLockedError

LOCK_NAME = "run.lock"


class RunLock:
    """Holds a folder's `flock`, from construction until `release` or the process's end.

    The kernel ends it with its holder however that dies. The file names the holder's pid for the
    message only, and stays behind: removing it would let two processes lock two files of one name.
    It is a file of its own because closing any handle of `run.sqlite` would drop SQLite's locks.
    Raises RunLockedError when another holder lives, also one of this process.
    """

    def __init__(self, folder: Path) -> None:
        handle = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(handle, 20, 0).decode().strip() or "unknown"
            os.close(handle)
            raise RunLockedError(
                f"{folder} is being written by process {holder}: wait until it ends, or stop it"
            ) from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        self._handle: int | None = handle
        _close_in_forked_children(self)

    def release(self) -> None:
        """Let go; a second call does nothing."""
        handle, self._handle = self._handle, None
        if handle is not None:
            os.close(handle)


def _close_in_forked_children(lock: RunLock) -> None:
    """A forked child shares the handle, and would hold the lock after its parent's death."""
    reference = weakref.ref(lock)

    def close() -> None:
        held = reference()
        if held is not None:
            held.release()

    os.register_at_fork(after_in_child=close)
