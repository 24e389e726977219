"""What runs on the instances, as one file: the `node` package as an archive that Python runs.

It is versioned with the operator. Its name is its content's hash, so that a node can check what it got, and so that
nodes of a stack that was rendered by another version find theirs.
"""

import hashlib
import io
import zipfile
from functools import cache
from pathlib import Path

# Beside this package wherever it is: in the repository, in a wheel, in Lambda's package. Read, and never imported.
PACKAGE = Path(__file__).parents[1] / "node"
MAIN = """\
import runpy

runpy.run_module("node", run_name="__main__", alter_sys=True)
"""


@cache
def archive() -> bytes:
    """The same bytes from the same sources: no times, and no compression, which is another in each zlib."""
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", zipfile.ZIP_STORED) as made:
        made.writestr(_entry("__main__.py"), MAIN)
        for path in sorted(PACKAGE.rglob("*.py")):
            made.writestr(_entry(path.relative_to(PACKAGE.parent).as_posix()), path.read_bytes())
    return body.getvalue()


@cache
def digest() -> str:
    """The archive's SHA-256 in hexadecimal."""
    return hashlib.sha256(archive()).hexdigest()


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)
    entry.create_system = 3  # Unix, wherever it is made
    entry.external_attr = 0o644 << 16
    return entry
