"""What a Lambda function finds of Python on AWS, made of this environment's parts.

Source: Lambda Developer Guide, "Runtime dependencies in Python".
"""

import sys
from importlib.util import find_spec
from pathlib import Path

SDK = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six", "urllib3")


def interpreter() -> str:
    """The interpreter that this environment is made from, which has nothing but the standard library."""
    return getattr(sys, "_base_executable", sys.executable)


def link(directory: Path, *packages: str) -> None:
    """Put links to these packages, those that are installed here, into a directory."""
    for name in packages:
        spec = find_spec(name)
        if spec and spec.origin:
            origin = Path(spec.origin)
            target = origin.parent if origin.name == "__init__.py" else origin
            made = directory / target.name
            made.unlink(missing_ok=True)
            made.symlink_to(target)
