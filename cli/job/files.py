"""The files that a job is sent: below a prefix of its own in the artifacts bucket."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import typer

from cli.failures import Failure
from cli.job.batch import chunks
from cli.job.bootstrap import EXECUTABLES, INPUT, RUN, SCRIPT, VARIABLES, exports

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# DeleteObjects' limit (Amazon S3 API reference).
DELETED_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Files:
    """What is sent. `inputs` are the user's files by the path that each has in the working directory."""

    inputs: Mapping[str, Path] = field(default_factory=dict[str, Path])
    script: bytes | None = None
    variables: Mapping[str, str] = field(default_factory=dict[str, str])

    def __bool__(self) -> bool:
        return bool(self.inputs or self.script is not None or self.variables)


def inputs(paths: Iterable[str]) -> dict[str, Path]:
    """Files, and all files below folders, by the path that each has in the working directory. Raises BadParameter.

    A path keeps its folders when it leads down from here; of any other only the last part stays.
    """
    found: dict[str, Path] = {}
    for text in paths:
        path = Path(text)
        base = _base(path)
        for each in _below(path):
            name = (base / each.relative_to(path)).as_posix()
            if "\n" in name:
                raise typer.BadParameter(f"{name!r}: a line break in a file's name: rename it")
            if found.setdefault(name, each).resolve() != each.resolve():
                raise typer.BadParameter(f"{found[name]} and {each} would both be {name}: rename one")
    return found


def _base(path: Path) -> PurePath:
    if path.is_absolute() or ".." in path.parts:
        return PurePath(path.resolve().name)
    return PurePath(path)


def _below(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
    elif path.is_dir():
        for folder, folders, names in os.walk(path):
            folders.sort()
            yield from (Path(folder, name) for name in sorted(names))
    else:
        raise typer.BadParameter(f"{path}: no such file or folder")


def script(path: str) -> bytes:
    """A script's text. Raises BadParameter."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise typer.BadParameter(f"{path}: {error.strerror}") from error


def send(s3: S3Client, bucket: str, prefix: str, files: Files) -> None:
    """Put the files below the prefix. Raises Failure when one cannot be read."""
    for key, content in _objects(prefix, files).items():
        if isinstance(content, bytes):
            s3.put_object(Bucket=bucket, Key=key, Body=content)
            continue
        try:
            with content.open("rb") as file:
                s3.upload_fileobj(file, bucket, key)
        except OSError as error:
            raise Failure(f"{content}: {error.strerror}") from error


def remove(s3: S3Client, bucket: str, prefix: str, files: Files) -> None:
    """Take away what was sent."""
    for keys in chunks(_objects(prefix, files), DELETED_AT_ONCE):
        s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in keys], "Quiet": True})


def _objects(prefix: str, files: Files) -> dict[str, bytes | Path]:
    """What lies below the prefix, by its key; a file of the user's as its path."""
    if not files:
        return {}
    executables = "".join(f"{name}\n" for name, path in files.inputs.items() if os.access(path, os.X_OK))
    run: dict[str, bytes | Path] = {EXECUTABLES: executables.encode()}
    if files.script is not None:
        run[SCRIPT] = files.script
    if files.variables:
        run[VARIABLES] = exports(files.variables).encode()
    inputs = {prefix + INPUT + name: path for name, path in files.inputs.items()}
    return {**{prefix + RUN + name: content for name, content in run.items()}, **inputs}
