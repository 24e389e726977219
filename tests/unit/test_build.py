"""Putting the functions' package together: for which Python, and when anew. What is in it is seen end to end."""

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
RUNNING = f"python{sys.version_info.major}.{sys.version_info.minor}"
GRAPH = """\
[function_build_definitions.1]
runtime = "python3.99"
architecture = "arm64"
functions = ["WakeFunction", "SweepFunction"]
[function_build_definitions.2]
runtime = "python3.98"
architecture = "x86_64"
functions = ["ReconcileFunction"]
"""


@pytest.fixture
def build() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build", ROOT / "lambda" / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def command(directory: Path, name: str, script: str) -> None:
    path = directory / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_runtime_and_architecture_are_those_that_sam_resolved(build: ModuleType, tmp_path: Path) -> None:
    graph = tmp_path / "build.toml"
    graph.write_text(GRAPH)
    assert build.asked_for(graph, "ReconcileFunction") == ("python3.98", "x86_64")
    assert build.asked_for(graph, "SweepFunction") == ("python3.99", "arm64")


def test_without_them_nothing_is_built(build: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"build\.toml does not exist.*`sam build`"):
        build.asked_for(tmp_path / "build.toml", "ReconcileFunction")


def test_in_lambdas_own_image_they_are_the_images(
    build: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAMBDA_RUNTIME_DIR", "/var/runtime")
    assert build.asked_for(tmp_path / "build.toml", "ReconcileFunction") == (RUNNING, os.uname().machine)


def test_the_compiler_is_of_the_functions_version(
    build: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first that is, by any of its names: no shim with nothing behind it, no other version, none without pip."""
    shim, bare = tmp_path / "shim", tmp_path / "bare"
    for each in (shim, bare):
        each.mkdir()
    command(shim, "python3.99", "exit 127")
    command(bare, "python3.99", 'case "$2" in *pip*) exit 1; esac; echo python3.99')
    command(tmp_path, "python3", "echo python3.98")
    command(tmp_path, "python", "echo python3.99")
    monkeypatch.setenv("PATH", f"{shim}:{bare}:{tmp_path}")
    assert build.interpreter("python3.99") == str(tmp_path / "python")


def test_a_version_that_is_not_there_is_named_with_the_ways_out(
    build: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command(tmp_path, "python3", "echo python3.98")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit) as refused:
        build.interpreter("python3.99")
    for said in ("python3.99 with pip is not on the PATH", "--use-container", f"PythonRuntime={RUNNING}"):
        assert said in str(refused.value)


def test_a_package_is_built_anew_for_whatever_it_is_made_of(
    build: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_of = ("handlers/a.py", "node/a.py", "reconciler/b/c.py", "requirements.txt", "build.py")
    for name in made_of:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1")
    monkeypatch.chdir(tmp_path)
    seen = [build.digest("python3.99", "arm64"), build.digest("python3.98", "arm64")]
    for name in made_of:
        (tmp_path / name).write_text("2")
        seen.append(build.digest("python3.99", "arm64"))
    assert len(set(seen)) == len(seen)
    (tmp_path / "handlers" / "__pycache__").mkdir()
    (tmp_path / "handlers" / "__pycache__" / "a.pyc").write_text("of this machine")
    assert build.digest("python3.99", "arm64") == seen[-1]
