"""Slurm's files and daemon on the head node, brought to what the operator says of the queues."""

from __future__ import annotations

from typing import TYPE_CHECKING

from node import conf
from node.conf import Step
from node.lists import WITH_JOBS
from node.scheduler import HostState, SchedulerError
from node.slurm import NOWHERE, Slurm

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from node.facts import Queue
    from node.machine import Machine

CONTROLLER = "slurmctld"


class Controller(Slurm):
    """The controller of this machine, which is at `address`; `wait` passes a moment between two tries to reach it."""

    def __init__(self, machine: Machine, site: conf.Site, wait: Callable[[], None]) -> None:
        self._machine = machine
        self._site = site
        self._wait = wait
        # The files that it runs with, as far as is known: what it read before this agent came is not.
        self._read: Mapping[str, str] = {}
        self._beyond: set[str] = set()

    def shape(self, queues: Sequence[Queue], names: Iterable[str]) -> None:
        """Write the files, and have them read. Raises SchedulerError, MachineError."""
        names = set(names)
        # Each change of the set of hosts costs a restart: those beyond a lowered limit go together.
        beyond = conf.beyond(queues, names)
        self._beyond = self._beyond | beyond if beyond else beyond
        extra, gres = self._machine.read(conf.EXTRA), self._machine.read(conf.EXTRA_GRES)
        site = conf.Site(
            self._site.cluster, self._site.host, self._site.address, self._machine.has_cgroups(), extra, gres
        )
        # Slurm aborts the jobs of a host whose processors change, so those of instances stay as they are.
        former = conf.shapes(self._machine.read(conf.SLURM))
        kept = {name: former[name] for name in names if name in former}
        files = conf.render(site, queues, self._beyond, kept)
        step = conf.step(self._read, files)
        if step is Step.NOTHING:
            return
        if step is Step.RESTART:
            self._restart(conf.render(site, queues, self._beyond, kept, held=True), names)
        self._write(files)
        self.reconfigure()
        self._read = files

    def _restart(self, held: Mapping[str, str], names: set[str]) -> None:
        """Start the controller with files by which no job starts, and let no job start on hosts without instances."""
        self._read = {}
        self._write(held)
        self._machine.systemctl("restart", CONTROLLER)
        self._until_it_answers()
        # One that has never registered is at no address, even if an instance is to have it, and has no jobs.
        self.unbind(name for name, host in self.hosts().items() if name not in names or _is_new(host))

    def _until_it_answers(self) -> None:
        for left in reversed(range(60)):
            try:
                self.ping()
            except SchedulerError:
                if not left:
                    raise
                self._wait()
            else:
                return

    def _write(self, files: Mapping[str, str]) -> None:
        for path, text in files.items():
            self._machine.write(path, text)


def _is_new(host: HostState) -> bool:
    return host.address == NOWHERE and host.state not in WITH_JOBS
