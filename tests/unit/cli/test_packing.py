"""A folder becomes an archive: what is in it, what is not, and that nothing else makes another one of it."""

from __future__ import annotations

import io
import os
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from cli import packing
from cli.dockerignore import Ignore
from cli.failures import Failure

FILES = {"Dockerfile": "FROM scratch\nCOPY . /\n", "run.sh": "#!/bin/sh\n", "data/a.txt": "a", "data/deep/b.txt": "b"}


def fill(folder: Path, files: Mapping[str, str] = FILES) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def names(folder: Path) -> list[str]:
    return [entry.name for entry in packing.source(folder).entries]


def archive(folder: Path) -> zipfile.ZipFile:
    file = io.BytesIO()
    packing.source(folder).write(file)
    return zipfile.ZipFile(file)


def refused(folder: Path) -> str:
    with pytest.raises(Failure) as caught:
        packing.source(folder)
    (line,) = caught.value.lines
    return line


# ------------------------------------------------------------------ the archive


def test_the_archive_holds_the_folder(tmp_path: Path) -> None:
    fill(tmp_path)
    (tmp_path / "run.sh").chmod(0o755)
    (tmp_path / "empty").mkdir()
    with archive(tmp_path) as made:
        assert made.testzip() is None
        assert made.namelist() == sorted([*FILES, "data/", "data/deep/", "empty/"])
        assert {name: made.read(name).decode() for name in made.namelist() if name[-1] != "/"} == FILES
        modes = {info.filename: info.external_attr >> 16 & 0o777 for info in made.infolist()}
    assert modes == {**dict.fromkeys(modes, 0o644), **dict.fromkeys(("run.sh", "data/", "data/deep/", "empty/"), 0o755)}


def test_the_same_files_make_the_same_bytes_wherever_and_whenever(tmp_path: Path) -> None:
    one, other = fill(tmp_path / "one"), fill(tmp_path / "other", dict(reversed(FILES.items())))
    for number, path in enumerate(other.rglob("*")):
        os.utime(path, (number * 10**8, number * 10**8))
    (other / "data/a.txt").chmod(0o600)
    sources = [packing.source(folder) for folder in (one, other)]
    made = [io.BytesIO(), io.BytesIO()]
    for source, file in zip(sources, made, strict=True):
        source.write(file)
    assert sources[0].digest == sources[1].digest
    assert made[0].getvalue() == made[1].getvalue()


def other_text(folder: Path) -> None:
    (folder / "data/a.txt").write_text("A")


def other_name(folder: Path) -> None:
    (folder / "data/a.txt").rename(folder / "data/A.txt")


def other_mode(folder: Path) -> None:
    (folder / "run.sh").chmod(0o755)


def one_more(folder: Path) -> None:
    (folder / "data/c.txt").write_text("")


def one_less(folder: Path) -> None:
    (folder / "run.sh").unlink()


def another_place(folder: Path) -> None:
    (folder / "data/a.txt").rename(folder / "a.txt")


def a_folder(folder: Path) -> None:
    (folder / "empty").mkdir()


CHANGES = [other_text, other_name, other_mode, one_more, one_less, another_place, a_folder]


def test_whatever_is_in_it_another_digest_comes_of_another_content(tmp_path: Path) -> None:
    digests = {packing.source(fill(tmp_path / "as it was")).digest}
    for change in CHANGES:
        change(fill(tmp_path / change.__name__))
        digests.add(packing.source(tmp_path / change.__name__).digest)
    assert len(digests) == len(CHANGES) + 1


def test_the_digest_is_one_that_other_versions_find_too(tmp_path: Path) -> None:
    """Another digest of the same files would build all images of all users again."""
    known = "64623dda45e4bc75b26fbac0a28d2ce53b7bb8c7085cdf37c2b188d19709282f"
    assert packing.source(fill(tmp_path)).digest == known


def test_a_folder_that_changes_while_it_is_packed_is_not_sent_as_what_it_was(tmp_path: Path) -> None:
    source = packing.source(fill(tmp_path))
    other_text(tmp_path)
    with pytest.raises(Failure, match="changed while it was packed"):
        source.write(io.BytesIO())
    shutil.rmtree(tmp_path / "data")
    with pytest.raises(Failure, match=r"data/a.txt: No such file"):
        source.write(io.BytesIO())


# ------------------------------------------------------------------ what is refused


def test_a_folder_without_a_dockerfile_is_refused(tmp_path: Path) -> None:
    fill(tmp_path, {"docker/Dockerfile": "FROM scratch\n"})
    assert refused(tmp_path) == "no Dockerfile in it; add one, or name the folder that has it"
    (tmp_path / "Dockerfile").mkdir()
    assert "no Dockerfile" in refused(tmp_path)


def test_no_folder_is_refused(tmp_path: Path) -> None:
    fill(tmp_path)
    for path in (tmp_path / "none", tmp_path / "Dockerfile"):
        assert refused(path) == "no such folder; name the one that the Dockerfile is in"


def test_too_much_is_refused_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (fill(tmp_path) / "model.bin").open("wb") as file:
        file.truncate(packing.LARGEST)
    monkeypatch.setattr(packing.Entry, "content", lambda _: pytest.fail("was read"))
    assert refused(tmp_path).startswith("more than 500 MiB of files; name in .dockerignore what")
    monkeypatch.undo()
    (tmp_path / ".dockerignore").write_text("*.bin\n")
    assert "model.bin" not in names(tmp_path)


def test_just_as_much_as_may_be_is_packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "LARGEST", sum(map(len, FILES.values())))
    assert packing.source(fill(tmp_path)).size == packing.LARGEST
    one_more(tmp_path)
    (tmp_path / "data/c.txt").write_text("c")
    assert "more than" in refused(tmp_path)


def test_links_and_the_like_are_refused_unless_they_are_left_out(tmp_path: Path) -> None:
    fill(tmp_path)
    made: list[tuple[str, Any]] = [
        ("data/link", lambda path: path.symlink_to("a.txt")),
        ("data/up", lambda path: path.symlink_to(tmp_path)),
        ("data/nowhere", lambda path: path.symlink_to("none")),
        ("data/pipe", os.mkfifo),
    ]
    for name, make in made:
        make(tmp_path / name)
        assert refused(tmp_path).startswith(f"{tmp_path / name}: a link or the like")
        (tmp_path / ".dockerignore").write_text(f"{name}\n")
        assert name not in names(tmp_path)
        (tmp_path / name).unlink()


def test_names_that_are_no_text_are_refused(tmp_path: Path) -> None:
    for name in (b"\xff", b"a\nb"):
        path = Path(os.fsdecode(os.fsencode(fill(tmp_path)) + b"/" + name))
        path.write_text("")
        assert "a name that is not text; rename it" in refused(tmp_path)
        path.unlink()
    (tmp_path / "größe.txt").write_text("")
    assert "größe.txt" in names(tmp_path)


# ------------------------------------------------------------------ .dockerignore


@pytest.mark.parametrize(
    ("lines", "out", "left"),
    [
        # Docker's own examples.
        ("# comment", "", "# comment"),
        ("*/temp*", "some/temporary.txt some/temp some/temp/x", "temp temporary some/deep/temp"),
        ("*/*/temp*", "some/deep/temporary.txt", "some/temp"),
        ("temp?", "tempa tempb tempa/x", "temp tempab some/tempa"),
        ("**/*.go", "a.go x/a.go x/y/a.go", "a.goo"),
        ("*.md\n!README.md", "a.md", "README.md x/a.md"),
        ("*.md\n!README*.md\nREADME-secret.md", "a.md README-secret.md", "README-a.md"),
        ("*.md\nREADME-secret.md\n!README*.md", "a.md", "README-a.md README-secret.md"),
        # Folders, and what is in them.
        ("/foo/bar", "foo/bar foo/bar/x", "bar foo foo/barn x/foo/bar"),
        ("foo/", "foo foo/x foo/x/y", "x/foo"),
        ("./foo/../bar//", "bar bar/x", "foo"),
        ("**/node_modules", "node_modules node_modules/a x/node_modules/a/b x/y/node_modules", "node_modules2"),
        ("a/**", "a/x a/x/y", "a"),
        ("a/**/z", "a/z a/x/z a/x/y/z a/z/b", "az a/xz z"),
        ("**", "a a/b", ""),
        ("*", "a a/b .git", ""),
        ("*\n!src", "a a/src", "src src/x src/x/y"),
        ("src\n!src/keep", "src src/x", "src/keep src/keep/x"),
        # Sets and escaped characters.
        ("[a-c]x", "ax bx", "dx"),
        ("[^a]x", "bx", "ax"),
        (r"\*x", "*x", "ax"),
        ("[[&|~]", "[ & | ~", "a"),
        (r"[\]]", "]", "a"),
        ("a.b+(c)$|{d}", "a.b+(c)$|{d}", "aXb+(c)$|{d}"),
        # White space, what is above the folder, and what means nothing.
        ("  a  \r\n\n\t\n! b ", "a", "b"),
        ("../a\n.\n/", "", "a b"),
        # What the build needs stays.
        ("*", "a", "Dockerfile .dockerignore Dockerfile.dockerignore"),
        ("Dockerfile\n.dockerignore", "", "Dockerfile .dockerignore"),
    ],
)
def test_paths_are_left_out_as_docker_does(lines: str, out: str, left: str) -> None:
    ignore = Ignore(lines.split("\n"))
    assert [path for path in out.split(" ") if path and not ignore.leaves_out(path)] == []
    assert [path for path in left.split(" ") if path and ignore.leaves_out(path)] == []


@pytest.mark.parametrize("line", ["!", "! ", "[", "a[b", "[]", "[z-a]"])
def test_a_line_that_is_no_pattern_is_told(tmp_path: Path, line: str) -> None:
    (fill(tmp_path) / ".dockerignore").write_text(f"ok\n{line}\n")
    assert refused(tmp_path).startswith(f"{tmp_path / '.dockerignore'}: {line.strip()!r} is no pattern")


def test_what_is_left_out_makes_no_other_digest(tmp_path: Path) -> None:
    (fill(tmp_path) / ".dockerignore").write_text(".git\n**/*.log\n")
    before = packing.source(tmp_path)
    fill(tmp_path, {".git/HEAD": "x", "run.log": "x", "data/deep/run.log": "x"})
    assert packing.source(tmp_path) == before


def test_a_folder_that_is_left_out_is_not_walked_unless_an_exception_may_be_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path, {**FILES, ".git/HEAD": "x", ".git/keep/a": "x"})
    walked: list[str] = []
    scan = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: (walked.append(Path(path).name), scan(path))[1])
    (tmp_path / ".dockerignore").write_text(".git\n")
    assert not any(name.startswith(".git") for name in names(tmp_path))
    assert ".git" not in walked
    (tmp_path / ".dockerignore").write_text(".git\n!.git/keep\n")
    assert [name for name in names(tmp_path) if name.startswith(".git")] == [".git/keep/", ".git/keep/a"]


def test_an_ignore_file_of_the_dockerfile_comes_before_the_folders(tmp_path: Path) -> None:
    fill(tmp_path, {**FILES, ".dockerignore": "run.sh", "Dockerfile.dockerignore": "\ufeffdata\n"})
    assert names(tmp_path) == [".dockerignore", "Dockerfile", "Dockerfile.dockerignore", "run.sh"]
