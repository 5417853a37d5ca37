"""Files that are there whole or not at all, whatever crashes when."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path


def write_durably(path: Path, data: bytes) -> None:
    """On return it survives a crash of this machine. Raises OSError, and then nothing of it is left."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    new = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        with _locked(path.parent, fcntl.LOCK_SH):
            new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """What was made or renamed in it survives a crash."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove_older(path: Path, before: datetime) -> bool:
    """False if it was written at `before` or later: a write at the same time is either seen or comes after. Raises OSError."""
    with _locked(path.parent, fcntl.LOCK_EX):
        if written_at(path) >= before:
            return False
        path.unlink()
        return True


def written_at(path: Path) -> datetime:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC)


@contextlib.contextmanager
def _locked(folder: Path, kind: int) -> Iterator[None]:
    """Writers share a folder; a removal has it for itself."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, kind)
        yield
    finally:
        os.close(handle)
