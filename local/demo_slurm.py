"""The part of the demo about Slurm: an array job is submitted, nodes come, jobs run, nodes go."""

import shutil
import time
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from local import machine
from local.fixtures import Network
from local.slurm import SlurmCluster

if TYPE_CHECKING:
    from local.demo import Demo

NAME = "cfd"
QUEUE = "compute"
POLL = 0.5
PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch")


def _spec(net: Network) -> dict[str, Any]:
    return {
        "scheduler": "slurm",
        "image": {"os": "ubuntu2404"},
        "idleTime": 0,
        "headNode": {"instanceType": "t3.medium"},
        "queues": [{"name": QUEUE, "instanceTypes": ["c6i.large"], "maxSize": 3}],
        "network": {"vpcId": net.vpc_id, "subnetIds": list(net.subnet_ids)},
    }


def show_slurm(demo: "Demo", net: Network, console: Console) -> None:
    """All of it, in order, where machines can run. Raises DemoError for what does not happen."""
    if why_not := unavailable():
        console.print(f"\n[bold cyan]━━ Slurm is left out here:[/] {why_not}")
        return
    demo.aws.set(machines=NAME)
    with demo.part("A Slurm cluster: its instances run on this machine, each in namespaces of its own"):
        demo.put(_spec(net))
        demo.watch(demo.ready(1), "the cluster's readiness")
    slurm = SlurmCluster(demo.aws, demo.plane.outputs["StateTable"], NAME, [QUEUE])
    with demo.part("An array of 40 jobs is submitted on the head node: nodes come, jobs run, nodes go"):
        script = "hostname; sleep 0.5"
        console.print(f"[bold]head# sbatch --array=0-39 --wrap '{script}'[/]")
        job = slurm.submit(script, "--array=0-39")
        _live(demo, console, slurm, job)
    with demo.part("The cluster is deleted, and nothing is left"):
        demo.run("muster", "delete", NAME, "--wait")
        demo.nothing_left()
        demo.none("machines", list(demo.aws.machines()))
    demo.aws.set(machines="")


def unavailable() -> str:
    """Why the real Slurm cannot run on this machine, empty if it can."""
    missing = [each for each in PROGRAMS if shutil.which(each) is None]
    return f"it needs {', '.join(missing)}" if missing else machine.unavailable()


def _live(demo: "Demo", console: Console, slurm: SlurmCluster, job: str) -> None:
    """The three lists as they change, until the jobs are done and the nodes gone."""
    started, shown = time.monotonic(), None
    with Live(console=console, auto_refresh=False) as live:
        while True:
            states, lists = slurm.job(job), _lists(slurm)
            if (states, lists) != shown:
                shown = (states, lists)
                live.update(_table(time.monotonic() - started, states, lists), refresh=True)
                if not console.is_terminal:
                    console.print(_line(time.monotonic() - started, states, lists), markup=False)
            if states == ["COMPLETED"] and slurm.at_rest():
                return
            demo.still(started, f"job {job} is {states}, the lists are {lists}")
            time.sleep(POLL)


Lists = dict[str, tuple[str, str, str]]


def _lists(slurm: SlurmCluster) -> Lists:
    """Each instance's state as the group, the table and Slurm have it."""
    members, rows, hosts = slurm.members(), slurm.rows(), slurm.hosts()
    names = {instance: row["name"] for instance, row in rows.items()}
    return {
        instance: (
            members.get(instance, "-"),
            f"{names[instance]} {rows[instance]['state']}" if instance in rows else "-",
            hosts.get(names.get(instance, ""), "-"),
        )
        for instance in sorted({*members, *rows})
    }


def _table(seconds: float, states: list[str], lists: Lists) -> Table:
    table = Table("instance", "group's member", "row", "Slurm's host", title=_title(seconds, states))
    for instance, seen in lists.items():
        table.add_row(instance, *seen)
    return table


def _title(seconds: float, states: list[str]) -> str:
    return f"{seconds:5.1f} s  jobs: {', '.join(states).lower() or 'none'}"


def _line(seconds: float, states: list[str], lists: Lists) -> str:
    nodes = "; ".join(f"{instance} {' / '.join(seen)}" for instance, seen in lists.items())
    return f"  {_title(seconds, states)}  nodes: {nodes or 'none'}"
