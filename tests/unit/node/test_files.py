"""Files that are whole at any time, and written only when they differ."""

import os
from pathlib import Path
from typing import Any

import pytest

from node import files


def test_a_file_is_written_when_it_differs_in_content_or_mode(tmp_path: Path) -> None:
    path = tmp_path / "etc" / "slurm.conf"
    assert files.write(path, "one")
    before = path.stat()
    assert not files.write(path, "one")
    assert path.stat().st_ino == before.st_ino
    assert files.write(path, b"two", 0o400)
    assert path.stat().st_ino != before.st_ino, "whoever has the old one open keeps it whole"
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("two", 0o400)
    assert files.write(path, "two", 0o644)
    assert [*path.parent.iterdir()] == [path]


def test_a_secret_is_never_readable_on_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modes: list[int] = []
    replace = os.replace

    def look(source: Any, target: Any) -> None:
        modes.append(Path(source).stat().st_mode & 0o777)
        replace(source, target)

    monkeypatch.setattr(os, "replace", look)
    files.write(tmp_path / "munge.key", b"secret", 0o400)
    assert modes == [0o400]


def test_what_cannot_be_finished_leaves_the_old(tmp_path: Path) -> None:
    path = tmp_path / "munge.key"
    files.write(path, "old")
    with pytest.raises(LookupError):
        files.write(path, "new", owner="nobody-of-this-name")
    assert path.read_text() == "old"
    assert [*tmp_path.iterdir()] == [path]


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives files away")
def test_the_owner_is_a_user_and_his_group(tmp_path: Path) -> None:
    files.write(tmp_path / "key", "x", 0o400, "daemon")
    assert (tmp_path / "key").owner() == (tmp_path / "key").group() == "daemon"
