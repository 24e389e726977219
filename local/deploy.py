"""The control plane on the local AWS: the real `sam build` and `sam deploy`, for this machine."""

import platform
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from local.aws import LocalAws

ROOT = Path(__file__).resolve().parent.parent
STACK = "muster"


class DeployError(Exception):
    """A sam command failed; the message ends with what it printed."""


@dataclass(frozen=True)
class ControlPlane:
    """A deployed control plane: the stack's name and its outputs."""

    stack: str
    outputs: dict[str, str]


def build() -> None:
    """Build the functions for this machine. Unchanged sources are not built again."""
    _sam("build", "--config-env", "local", "--parameter-overrides", _overrides())


def deploy(aws: LocalAws, **parameters: str) -> ControlPlane:
    """Deploy what was built, and read where everything is."""
    overrides = " ".join([_overrides(), *(f"{name}={value}" for name, value in parameters.items())])
    _sam("deploy", "--config-env", "local", "--parameter-overrides", overrides, env=aws.environ())
    return find(aws)


def find(aws: LocalAws) -> ControlPlane:
    """The control plane that is deployed there."""
    stack = aws.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"][0]
    return ControlPlane(STACK, {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]})


def _overrides() -> str:
    machine = "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64"
    version = sys.version_info
    return f"PythonRuntime=python{version.major}.{version.minor} Architecture={machine} SweepMinutes=2"


def _sam(*arguments: str, env: dict[str, str] | None = None) -> None:
    command = [str(Path(sys.executable).parent / "sam"), *arguments]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        said = "\n".join((done.stdout + done.stderr).splitlines()[-40:])
        raise DeployError(f"{' '.join(command[1:3])} failed with {done.returncode}:\n{said}")
