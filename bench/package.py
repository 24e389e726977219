"""What is deployed: how large it is."""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

from bench.figure import Figure
from local.deploy import ROOT, build


def measure() -> Iterator[Figure]:
    """The zip of a function in MB; all functions share one."""
    build()
    yield Figure("zip_mb", round(_zipped(ROOT / ".aws-sam" / "build" / "ReconcileFunction") / 1e6, 2), "MB")


def _zipped(folder: Path) -> int:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, path.relative_to(folder))
    return len(buffer.getvalue())
