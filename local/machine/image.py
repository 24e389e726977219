"""What a machine's own layer has from the start: stand-ins for what a node's bootstrap calls, and cannot do here.

``python3`` is the bare interpreter, with the SDK once python3-boto3 is installed. ``aws`` is this environment's.
"""

import sys
from pathlib import Path

from local import runtime
from local.machine import packages

_HERE = Path(__file__).resolve().parent
LOGGED = '#!/bin/sh\necho "$0 $*" >>/var/log/machine.log\n'
PYTHON = """#!/bin/sh
[ ! -e /var/lib/packages/python3-boto3 ] || export PYTHONPATH={sdk}
PYTHONNOUSERSITE=1 exec {interpreter} "$@"
"""
STAND_INS = {
    **dict.fromkeys(("apt-get", "snap", "dnf"), '#!/bin/sh\nexec {interpreter} -IS {here}/packages.py "$@"\n'),
    **dict.fromkeys(("shutdown", "reboot", "poweroff", "halt", "udevadm", "exportfs"), LOGGED),
    "systemctl": '#!/bin/sh\nexec {interpreter} -IS {here}/systemctl.py "$@"\n',
    "journalctl": "#!/bin/sh\ncat /var/log/*.log\n",
    "aws": '#!/bin/sh\nexec {bin}/aws "$@"\n',
    "python3": PYTHON,
}


def make(directory: Path) -> None:
    """Make the layer in a directory."""
    sdk, programs = directory / "opt/sdk", directory / "usr/local/sbin"
    for each in (sdk, programs):
        each.mkdir(parents=True, exist_ok=True)
    runtime.link(sdk, *runtime.SDK)
    packages.hide(directory)
    places = {
        "interpreter": runtime.interpreter(),
        "here": _HERE,
        "bin": Path(sys.prefix).resolve() / "bin",
        "sdk": "/opt/sdk",
    }
    for name, text in STAND_INS.items():
        (programs / name).write_text(text.format_map(places))
        (programs / name).chmod(0o755)


def binds() -> list[str]:
    """What of Python lies on other file systems than the root, of which an overlay sees nothing."""
    root = Path("/").stat().st_dev
    places = {str(Path(each).resolve()) for each in (sys.prefix, sys.base_prefix, _HERE)}
    return sorted(each for each in places if Path(each).stat().st_dev != root)
