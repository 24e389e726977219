"""The folder of a Dockerfile as one archive: of the same files the same, wherever and whenever it is made."""

from __future__ import annotations

import hashlib
import os
import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from cli.dockerignore import DOCKERFILE, IGNORE_FILES, Ignore
from cli.failures import Failure

# Bytes of all files together. Data that is larger is better fetched by the build itself.
LARGEST = 500 * 2**20
# The earliest time that a zip archive can hold.
TIME = (1980, 1, 1, 0, 0, 0)
EXECUTABLE, FILE, FOLDER = stat.S_IFREG | 0o755, stat.S_IFREG | 0o644, stat.S_IFDIR | 0o755


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or a folder, which ends in a slash: its name in the archive, and its mode there. `size` is in bytes."""

    name: str
    path: Path
    mode: int
    size: int

    def content(self) -> bytes:
        """What is in the file; of a folder nothing."""
        return b"" if self.mode == FOLDER else self.path.read_bytes()

    def said(self, content: bytes) -> bytes:
        """What a digest is made of."""
        return f"{self.mode:o} {hashlib.sha256(content).hexdigest()} {self.name}\n".encode()

    def info(self) -> zipfile.ZipInfo:
        """The entry as an archive describes it."""
        info = zipfile.ZipInfo(self.name, TIME)
        info.create_system, info.external_attr, info.compress_type = 3, self.mode << 16, zipfile.ZIP_DEFLATED
        return info


@dataclass(frozen=True, slots=True)
class Source:
    """What an image is built from. `digest` (hex) speaks of names, modes and contents, and of nothing else.

    It is not the archive's: the compressed form of a file is not the same with each version of zlib.
    """

    folder: Path
    entries: tuple[Entry, ...]
    digest: str

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(entry.size for entry in self.entries)

    def write(self, file: IO[bytes]) -> None:
        """Write the archive. Raises Failure when the files are no longer those of the digest."""
        digest = hashlib.sha256()
        with _readable(), zipfile.ZipFile(file, "w") as archive:
            for entry in self.entries:
                content = entry.content()
                digest.update(entry.said(content))
                archive.writestr(entry.info(), content)
        if digest.hexdigest() != self.digest:
            raise Failure(f"{self.folder} changed while it was packed: do it again")


def source(folder: Path) -> Source:
    """The source in a folder. Raises Failure when there is none, or what cannot be packed."""
    with _readable():
        if not folder.is_dir():
            raise Failure("no such folder; name the one that the Dockerfile is in")
        if not (folder / DOCKERFILE).is_file():
            raise Failure(f"no {DOCKERFILE} in it; add one, or name the folder that has it")
        entries = tuple(sorted(_entries(folder, _ignore(folder)), key=lambda entry: entry.name))
        digest = hashlib.sha256(b"".join(entry.said(entry.content()) for entry in entries))
    return Source(folder, entries, digest.hexdigest())


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Failure(f"{error.filename}: {error.strerror}") from error


def _ignore(folder: Path) -> Ignore:
    """What the folder's own file says is no part of it. Raises Failure."""
    found = next((folder / name for name in IGNORE_FILES if (folder / name).is_file()), None)
    try:
        return Ignore(found.read_text(encoding="utf-8-sig").split("\n") if found else ())
    except ValueError as error:
        raise Failure(f"{found}: {error}") from error


def _entries(folder: Path, ignore: Ignore) -> Iterator[Entry]:
    """All that is not left out. Raises Failure as soon as it is too much, or something that an archive cannot hold."""
    size = 0
    for place, folders, files in os.walk(folder, onerror=_raise):
        at = Path(place).relative_to(folder)
        kept = [name for name in (*folders, *files) if not ignore.leaves_out((at / name).as_posix())]
        for name in kept:
            entry = _entry((at / name).as_posix(), Path(place, name))
            size += entry.size
            if size > LARGEST:
                fix = "name in .dockerignore what the image does without, or let the build fetch it"
                raise Failure(f"more than {LARGEST // 2**20} MiB of files; {fix}")
            yield entry
        if not ignore.exceptions:
            folders[:] = [name for name in folders if name in kept]


def _raise(error: OSError) -> None:
    raise error


def _entry(name: str, path: Path) -> Entry:
    found = path.lstat()
    if not name.isprintable():
        raise Failure(f"{str(path)!r}: a name that is not text; rename it, or name it in .dockerignore")
    if stat.S_ISDIR(found.st_mode):
        return Entry(f"{name}/", path, FOLDER, 0)
    if not stat.S_ISREG(found.st_mode):
        fix = "put there what it leads to, or name it in .dockerignore"
        raise Failure(f"{path}: a link or the like, neither file nor folder; {fix}")
    return Entry(name, path, EXECUTABLE if found.st_mode & stat.S_IXUSR else FILE, found.st_size)
