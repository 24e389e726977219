"""What nodes run, as one file: the same from the same sources, and fit to run."""

import hashlib
import io
import subprocess
import sys
import zipfile
from pathlib import Path

from reconciler import agent


def test_its_name_is_its_content() -> None:
    assert agent.digest() == hashlib.sha256(agent.archive()).hexdigest()


def test_another_process_makes_the_same_bytes() -> None:
    script = "from reconciler import agent; print(agent.digest())"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == agent.digest()


def test_it_holds_the_package_alone_with_no_time_and_no_compression() -> None:
    """Each zlib compresses in its own way, and a laptop and Lambda have to agree on the bytes."""
    entries = zipfile.ZipFile(io.BytesIO(agent.archive())).infolist()
    assert [each.filename for each in entries] == [
        "__main__.py",
        *sorted(f"node/{path.name}" for path in agent.PACKAGE.glob("*.py")),
    ]
    assert {(each.date_time, each.compress_type) for each in entries} == {((1980, 1, 1, 0, 0, 0), zipfile.ZIP_STORED)}


def test_the_reconciler_does_not_import_it() -> None:
    script = "import sys; from reconciler import agent; agent.archive(); print('node' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_it_runs(tmp_path: Path) -> None:
    file = tmp_path / "node.pyz"
    file.write_bytes(agent.archive())
    done = subprocess.run([sys.executable, file, "--help"], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "usage" in done.stdout.lower()


def test_python_finds_the_package_in_it(tmp_path: Path) -> None:
    file = tmp_path / "node.pyz"
    file.write_bytes(agent.archive())
    script = f"import sys; sys.path[:] = [{str(file)!r}, *sys.path[1:]]; import node.lists; print(node.lists.__file__)"
    done = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True, check=True, cwd="/")
    assert done.stdout.strip() == f"{file}/node/lists.py"
