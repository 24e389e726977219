"""Wires between machines, and sockets of this process inside of them.

All hangs on one network namespace, held by a process that ends with ours: a bridge per VPC, a wire from it to each
machine. So nothing of it is seen on the host, nothing collides, and nothing stays. Security groups do nothing.
"""

import asyncio
import contextlib
import ctypes
import socket
import subprocess
import threading
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

METADATA = "169.254.169.254"
CLONE_NEWNET = 0x40000000
CHUNK = 65536
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Switch:
    """The bridges."""

    def __init__(self) -> None:
        # Its input ends with this process, however that ends.
        self._holder = subprocess.Popen(["unshare", "--net", "cat"], stdin=subprocess.PIPE, start_new_session=True)
        self._lock = threading.Lock()
        self._bridges: set[str] = set()
        own, its = Path("/proc/self/ns/net"), Path(f"/proc/{self._holder.pid}/ns/net")
        while its.stat().st_ino == own.stat().st_ino:
            if self._holder.poll() is not None:
                raise OSError("no namespace for the network")

    def connect(self, pid: int, vpc: str, address: str, mac: str) -> None:
        """Give the machine whose first process this is its eth0 in a VPC; `address` has the length of its prefix."""
        bridge, inside = vpc[-15:], ["nsenter", f"--target={pid}", "--net"]
        with self._lock:
            if bridge not in self._bridges:
                self._ip(f"link add name {bridge} type bridge\nlink set {bridge} up\n")
                self._bridges.add(bridge)
        # Wires are named by their machines' processes, of which no two that live are equal.
        self._ip(
            f"link add name w{pid} type veth peer name eth0 address {mac} netns {pid}\n"
            f"link set w{pid} master {bridge} up\n"
        )
        commands = (
            f"link set lo up\naddress add {METADATA}/32 dev lo\naddress add {address} dev eth0\nlink set eth0 up\n"
        )
        subprocess.run([*inside, "ip", "-batch", "-"], input=commands, text=True, check=True, capture_output=True)

    def _ip(self, commands: str) -> None:
        where = ["nsenter", f"--target={self._holder.pid}", "--net"]
        subprocess.run([*where, "ip", "-batch", "-"], input=commands, text=True, check=True, capture_output=True)


def listen_inside(pid: int, *addresses: tuple[str, int]) -> list[socket.socket]:
    """Sockets of this process that listen in the machine's network; close them when it is gone."""
    made: list[socket.socket] = []
    failed: list[OSError] = []

    def make() -> None:  # a namespace is a thread's: this one ends
        libc = ctypes.CDLL(None, use_errno=True)
        try:
            with Path(f"/proc/{pid}/ns/net").open("rb") as namespace:
                if libc.setns(namespace.fileno(), CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), "setns")
            made.extend(socket.create_server(address) for address in addresses)
        except OSError as error:
            failed.append(error)

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    if failed:
        for each in made:
            each.close()
        raise failed[0]
    return made


class Servers:
    """An event loop of its own thread, so that what machines ask takes no turn from who asks AWS."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True, name="machines").start()

    def serve(self, listener: socket.socket, handler: Serve) -> Callable[[], None]:
        """Answer on a socket; returns what ends it."""
        server = self._run(asyncio.start_server(_guarded(handler), sock=listener))
        return lambda: self._loop.call_soon_threadsafe(server.close) and None

    def _run(self, what: Coroutine[Any, Any, asyncio.Server]) -> asyncio.Server:
        return asyncio.run_coroutine_threadsafe(what, self._loop).result()


def _guarded(handler: Serve) -> Serve:
    """A connection that breaks is the business of who broke it."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.TimeoutError):
            await handler(reader, writer)
        with contextlib.suppress(OSError):
            writer.close()
            await writer.wait_closed()

    return handle


def piped(host: str, port: int) -> Serve:
    """A handler that hands all on to this address, and back."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(host, port)
        try:
            await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))
        finally:
            far_writer.close()

    return handle


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while data := await source.read(CHUNK):
        target.write(data)
        await target.drain()
    with contextlib.suppress(OSError):
        target.write_eof()
