"""Run on a head node of the local AWS: Slurm's daemons of nodes that are not there.

Names of hosts come in by lines. For each a real slurmd registers with the controller in that host's name and is killed
then: a machine has room for a few at a time, not for thousands. Names go out by lines as they are registered. The only
argument is the configuration that all share.
"""

import subprocess
import sys
import threading
from pathlib import Path
from queue import Queue

WORKERS = 4
PORT = 20000
PLACE = Path("/run/daemons")
NODE = "NodeName={name} {shape} State=CLOUD Port={port}\nPartitionName=all Nodes=ALL\n"
REGISTERED = "_handle_node_reg_resp"


def _register(name: str, common: str, shape: str, port: int) -> None:
    conf = PLACE / f"{port}.conf"
    # A file that knows of one node is read in a moment; the controller's own takes a second of processor.
    conf.write_text(common + NODE.format(name=name, shape=shape, port=port))
    command = ["slurmd", "-D", "-vv", "-N", name, "-f", str(conf)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as daemon:
        assert daemon.stderr
        said = next((line for line in daemon.stderr if REGISTERED in line or "fatal" in line), "it ended")
        daemon.kill()
    print(name if REGISTERED in said else f"! {name}: {said.strip()}", flush=True)


def _work(names: "Queue[str]", common: str, shape: str, port: int) -> None:
    while name := names.get():
        _register(name, common, shape, port)


def main(common: str, shape: str) -> None:
    """Until the input ends."""
    PLACE.mkdir(exist_ok=True)
    names: Queue[str] = Queue()
    for number in range(WORKERS):
        threading.Thread(target=_work, args=(names, common, shape, PORT + number), daemon=True).start()
    for line in sys.stdin:
        names.put(line.strip())


if __name__ == "__main__":
    main(*sys.argv[1:])
