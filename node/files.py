"""Files that others read at any time: whole ones, the old or the new."""

from __future__ import annotations

import os
import shutil
import tempfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def write(path: Path, content: str | bytes, mode: int = 0o644, owner: str = "") -> bool:
    """Make this the content of a file, if it is not; whether it was not. Its folder is made.

    `owner` is a user and a group of the same name; empty for whoever runs this. Raises OSError, LookupError.
    """
    data = content.encode() if isinstance(content, str) else content
    if _holds(path, data, mode):
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), mode)
            if owner:
                shutil.chown(name, owner, owner)
            os.fsync(file.fileno())
        os.replace(name, path)  # noqa: PTH105 - both are names
    except BaseException:
        os.unlink(name)  # noqa: PTH108
        raise
    _sync(path.parent)
    return True


def _holds(path: Path, data: bytes, mode: int) -> bool:
    try:
        return path.read_bytes() == data and path.stat().st_mode & 0o7777 == mode
    except OSError:
        return False


def _sync(folder: Path) -> None:
    """A name is kept by its folder."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
