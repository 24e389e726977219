"""Lambda functions find what they find on AWS: their package, Python and its standard library, and the SDK.

MiniStack would start them with this process's interpreter, and so with all that is installed beside it: a package
that forgets a dependency would work here and fail on AWS. Source: Lambda Developer Guide, "Runtime dependencies in
Python".
"""

import os
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from local.additions.emulator import lambda_runtime

SDK = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six", "urllib3")


def register() -> None:
    """Start functions with the interpreter that this environment is made from, and the SDK on its path."""
    os.environ["PYTHONPATH"] = str(_sdk())
    os.environ["PYTHONNOUSERSITE"] = "1"
    detect = lambda_runtime._detect_runtime_binary

    def base_interpreter(runtime: str) -> tuple[str, str]:
        binary, script = detect(runtime)
        base = getattr(sys, "_base_executable", sys.executable)
        return (base if runtime.startswith("python") else binary), script

    lambda_runtime._detect_runtime_binary = base_interpreter


def _sdk() -> Path:
    """A directory with nothing but links to the SDK's packages."""
    directory = Path(tempfile.gettempdir()) / "runtime-sdk"
    directory.mkdir(exist_ok=True)
    for name in SDK:
        spec = find_spec(name)
        if spec and spec.origin:
            origin = Path(spec.origin)
            target = origin.parent if origin.name == "__init__.py" else origin
            link = directory / target.name
            link.unlink(missing_ok=True)
            link.symlink_to(target)
    return directory
