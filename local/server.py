"""Run MiniStack and our additions in this process until told to stop.

``python -m local.server --address FILE`` listens on the loopback interface, then writes
``{"pid": ..., "endpoint": ...}`` to FILE and keeps an exclusive lock on it for as long as it lives: who finds the
file unlocked knows that the server is gone, whatever became of its process id. See `local.aws` for who starts it.
"""

import argparse
import asyncio
import contextlib
import fcntl
import json
import os
import shutil
import signal
import socket
import sys
import threading
import traceback
from pathlib import Path
from typing import IO

HOST = "127.0.0.1"


def main() -> None:
    """Serve until a signal, or the end of standard input, says stop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--address", type=Path, required=True, help="file to write and lock")
    parser.add_argument("--port", type=int, default=0, help="port to listen on; 0 takes a free one")
    parser.add_argument("--until-eof", action="store_true", help="stop when input ends, remove FILE's directory")
    options = parser.parse_args()

    listener = socket.create_server((HOST, options.port))
    port = listener.getsockname()[1]
    # MiniStack reads its own address from the environment when it is imported.
    os.environ.update(GATEWAY_PORT=str(port), MINISTACK_HOST=HOST)
    with options.address.open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.truncate(0)
        asyncio.run(_serve(listener, lock, options.until_eof))


async def _serve(listener: socket.socket, lock: IO[str], until_eof: bool) -> None:
    home = Path(lock.name).parent
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    from local.additions import register

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if until_eof:
        threading.Thread(target=_at_eof, args=(loop, stop.set), daemon=True).start()

    app = register()
    from local.additions import fleet, machines, scheduler

    engines = [asyncio.create_task(each.engine.run()) for each in (fleet, scheduler)]
    for task in engines:
        task.add_done_callback(_report)
    config = Config()
    config.bind = [f"fd://{listener.detach()}"]
    config.keep_alive_timeout = 75
    config.graceful_timeout = 0.1
    lock.write(json.dumps({"pid": os.getpid(), "endpoint": f"http://{HOST}:{os.environ['GATEWAY_PORT']}"}))
    lock.flush()
    await serve(app, config, shutdown_trigger=stop.wait)
    _stop_lambda_workers()
    machines.machines.end()
    if until_eof:
        shutil.rmtree(home, ignore_errors=True)
    # At once: a stack that waits for a custom resource would keep an orderly end from coming for an hour.
    os._exit(0)


def _at_eof(loop: asyncio.AbstractEventLoop, stop) -> None:
    """The starter holds the other end of our standard input: its death, even by SIGKILL, is ours."""
    sys.stdin.buffer.read()
    with contextlib.suppress(RuntimeError):  # the loop may be closed already
        loop.call_soon_threadsafe(stop)


def _report(task: "asyncio.Task[None]") -> None:
    """An engine that breaks must not do so in silence."""
    if not task.cancelled() and (error := task.exception()):
        traceback.print_exception(error)


def _stop_lambda_workers() -> None:
    """MiniStack leaves its Lambda processes running when it shuts down."""
    from ministack.core import lambda_runtime

    lambda_runtime.reset()


if __name__ == "__main__":
    main()
