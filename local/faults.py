"""Faults over HTTP: a proxy (microburst) between functions and the local AWS that spoils the calls it is told to.

It speaks each service's own protocol, so that an SDK meets what it meets on AWS: an error in its envelope, a connection
that breaks, an answer that never comes after its call took effect.

```python
with faults(aws) as proxy, proxy.before(aws, "muster-reconcile"):
    proxy.set({"service": "cloudformation", "operation": "CreateStack", "times": 1, **LOST})
    ...
    proxy.fired()
```
"""

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from typing import Any

from local.aws import LocalAws

HOST = "127.0.0.1"
Json = dict[str, Any]

# What a rule can do to a call, as microburst takes it; a rule also says which `service` and `operation`, and `times`.
RESET: Json = {"reset": True}  # the connection breaks, the call has no effect
LOST: Json = {"response": {"abort_bytes": 0}}  # the call takes effect, and the connection breaks before its answer
# Half of the answer, as if it were all of it. Its length goes too: microburst takes it away in another spelling only.
MALFORMED: Json = {"response": {"truncate_frac": 0.5, "strip_headers": ["content-length"]}}


def error(code: str, status: int | None = None, message: str = "") -> Json:
    """An error of AWS's, in place of the call's effect; the status is the code's own unless given."""
    return {"error": {"code": code, "status": status, "message": message or code}}


class Proxy:
    """A running proxy: `endpoint` is its address."""

    def __init__(self, upstream: str) -> None:
        from microburst.core.pipeline import Microburst

        self._burst = Microburst(upstream)
        # The caller has signed the host's name, and the local AWS looks at signatures.
        headers = self._burst.upstream._outbound_headers
        self._burst.upstream._outbound_headers = lambda request: headers(request) | {"host": request.headers["Host"]}
        self.endpoint = ""

    def set(self, *rules: Json) -> None:
        """Have these rules and no others; of those that fit a call the first is taken. What was told is forgotten."""
        self._burst.engine.set_rules(list(rules))
        self._burst.fired.clear()

    def fired(self) -> list[Json]:
        """The calls that a rule was for, the oldest first: `service`, `operation`, `action`, `ts`."""
        return [event.to_dict() for event in list(self._burst.fired)]

    @contextlib.contextmanager
    def before(self, aws: LocalAws, *functions: str) -> Iterator[None]:
        """Have these Lambda functions call AWS through the proxy, for the time of the block."""
        client = aws.client("lambda")
        found = {name: client.get_function_configuration(FunctionName=name) for name in functions}
        variables = {name: each.get("Environment", {}).get("Variables", {}) for name, each in found.items()}
        try:
            for name, own in variables.items():
                environment = {"Variables": own | {"AWS_ENDPOINT_URL": self.endpoint}}
                client.update_function_configuration(FunctionName=name, Environment=environment)
            yield
        finally:
            for name, own in variables.items():
                client.update_function_configuration(FunctionName=name, Environment={"Variables": own})

    async def start(self) -> None:
        """Listen on a free port."""
        from aiohttp import web
        from microburst.app import make_app

        self._runner = web.AppRunner(make_app(self._burst))
        await self._runner.setup()
        site = web.TCPSite(self._runner, HOST, 0)
        await site.start()
        self.endpoint = f"http://{HOST}:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        """Close all connections."""
        await self._runner.cleanup()


@contextlib.contextmanager
def faults(aws: LocalAws) -> Iterator[Proxy]:
    """A proxy before a local AWS for the time of the block; it spoils nothing until it is told to."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    proxy = Proxy(aws.endpoint)
    asyncio.run_coroutine_threadsafe(proxy.start(), loop).result()
    try:
        yield proxy
    finally:
        asyncio.run_coroutine_threadsafe(proxy.stop(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
