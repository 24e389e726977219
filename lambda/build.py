"""Put together what is deployed, with bytecode: `sam build` runs this through the Makefile, once for each function.

Lambda cannot write where the code lies, so what is not compiled here is compiled again at every cold start. Bytecode
is of one Python version but of any processor, and the unchecked kind needs no look at the source's time and size.
All functions are one package: the first builds it, the others find it.
"""

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SOURCES = ("handlers", "node", "reconciler")
REQUIREMENTS = "requirements.txt"
MACHINES = {"x86_64": "x86_64", "arm64": "aarch64", "aarch64": "aarch64"}
LEFT_OUT = shutil.ignore_patterns("__pycache__")
ON_LAMBDA = "/var/task"  # where the code lies there, as tracebacks shall say it


def main(function: str, artifacts: Path) -> None:
    """Fill the folder of a function. Raises SystemExit with what is wrong and the way out."""
    shelf = artifacts.parent.parent
    runtime, architecture = asked_for(shelf / "build.toml", function)
    python = interpreter(runtime)
    with locked(shelf / "package.lock"):
        package = shelf / f"package-{digest(runtime, architecture)}"
        if not package.exists():
            for old in shelf.glob("package-*"):
                shutil.rmtree(old)
            with tempfile.TemporaryDirectory(dir=shelf) as scratch:
                fill(Path(scratch) / "package", python, runtime, MACHINES[architecture])
                (Path(scratch) / "package").rename(package)
        shutil.copytree(package, artifacts, dirs_exist_ok=True)


def asked_for(graph: Path, function: str) -> tuple[str, str]:
    """Runtime and architecture of a function, from sam's own account of the build, for it tells make neither.

    The container of `--use-container` is Lambda's image of the runtime and architecture asked for.
    """
    if "LAMBDA_RUNTIME_DIR" in os.environ:
        return version(sys.executable), platform.machine()
    if not graph.exists():
        raise SystemExit(f"{graph} does not exist: sam writes it when it builds all functions. Name none: `sam build`")
    definitions = tomllib.loads(graph.read_text())["function_build_definitions"].values()
    found = next(each for each in definitions if function in each["functions"])
    return found["runtime"], found["architecture"]


def interpreter(runtime: str) -> str:
    """The command of that Python, with pip. One of that name may be a shim with nothing behind it, so each is asked."""
    for name in (runtime, "python3", "python"):
        command = shutil.which(name)
        if command and version(command) == runtime:
            return command
    raise SystemExit(
        f"{runtime} with pip is not on the PATH. It is the runtime of the functions (PythonRuntime), and no other can"
        " compile their package. Install it, or use `sam build --use-container`, or choose another, to build and deploy"
        f' alike: --parameter-overrides "PythonRuntime={version(sys.executable)}"'
    )


def version(command: str) -> str:
    """Which runtime a command is, empty if it is none, or has no pip (Debian's and Ubuntu's own may lack it)."""
    script = "import sys, pip; print('python%d.%d' % sys.version_info[:2])"
    asked = subprocess.run([command, "-c", script], capture_output=True, text=True, check=False)
    return asked.stdout.strip()


def fill(package: Path, python: str, runtime: str, machine: str) -> None:
    """Dependencies for that machine, our own code, and bytecode of both, the same each time."""
    run(
        *(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile", "--no-deps"),
        *("--target", str(package), "--requirement", REQUIREMENTS, "--only-binary=:all:", "--implementation=cp"),
        *(f"--python-version={runtime.removeprefix('python')}", f"--platform=manylinux2014_{machine}"),
    )
    shutil.rmtree(package / "bin", ignore_errors=True)
    for source in SOURCES:
        shutil.copytree(source, package / source, ignore=LEFT_OUT)
    run(
        *(python, "-m", "compileall", "-q", "--invalidation-mode=unchecked-hash"),
        *("-s", str(package), "-p", ON_LAMBDA, str(package)),
    )


def run(*command: str) -> None:
    """A step of the build."""
    if subprocess.run(command, env=os.environ | {"PYTHONHASHSEED": "0"}, check=False).returncode:
        raise SystemExit(f"failed: {' '.join(command)}")


def digest(*parts: str) -> str:
    """A name for what goes into the package."""
    found = hashlib.sha256("\n".join(parts).encode())
    sources = (path for source in SOURCES for path in Path(source).rglob("*") if path.is_file())
    for path in sorted((*(path for path in sources if path.suffix != ".pyc"), Path(REQUIREMENTS), Path("build.py"))):
        found.update(f"{path}\n".encode() + path.read_bytes())
    return found.hexdigest()[:16]


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """One build at a time: sam builds functions in parallel."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
