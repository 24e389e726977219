"""What MiniStack lacks and Muster needs, each in a module of its own, true to AWS's documented behaviour.

| module | adds |
| --- | --- |
| `launches`, `instance_types` | checked launches of instances with all that they were asked for |
| `ec2` | terminations, state-change events, filters and pages |
| `resources` | CloudFormation resource types of EC2 and FSx |
| `stacks` | events of stack status changes, visible progress, service roles |
| `provisioning` | the rights of a stack's role; failures that tests ask for |
| `groups`, `fleet` | Auto Scaling's groups and the engine that keeps them at size |
| `batch`, `environments`, `definitions`, `jobs`, `scheduler` | AWS Batch's API, and the engine that runs its jobs |
| `batch_resources` | CloudFormation resource types of AWS Batch |
| `clusters` | the ECS clusters of its environments |
| `codebuild`, `builds`, `dockerfile` | CodeBuild's builds, with a container builder or without |
| `ecr` | images of several tags, images that are not there, pages, events |
| `processes`, `reaper`, `sessions`, `streams` | local processes for containers: end, role, log stream |
| `machines`, `imds` | instances that run: their processes and their metadata service |
| `functions` | Lambda's environment: the package and the SDK alone |
| `access` | tags and roles for IAM's evaluation |
| `decisions` | what that evaluation decided |
| `weather` | a share of the calls of functions that fails, at random |
| `messages` | queues that lose messages |
| `seeds` | public images and the parameters that name them |
| `settings` | what a test can set while it runs |
"""

from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import Any

Asgi = Callable[..., Awaitable[None]]
# Who wraps what another one has put in its place comes after it.
ORDER = ("functions", "seeds", "ec2", "resources", "groups", "batch", "batch_resources", "clusters", "codebuild",
         "ecr", "stacks", "provisioning", "access", "decisions", "machines", "messages")  # fmt: skip


def register() -> Asgi:
    """Add everything to the MiniStack of this process; returns its ASGI application."""
    from local.additions import decisions, machines, settings, weather
    from local.additions.emulator import app as emulator

    for name in ORDER:
        import_module(f"local.additions.{name}").register()
    own = {each.PATH: each.answer for each in (settings, decisions, weather, machines)}
    own[decisions.CALLS_PATH] = decisions.answer_calls
    app = weather.faulty(emulator.app)

    async def wrapped(scope: dict[str, Any], receive: Any, send: Any) -> None:
        answer = own.get(scope.get("path", ""))
        if answer is None:
            await app(scope, receive, send)
            return
        status, body = answer(scope["method"], (await receive()).get("body", b""))
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return wrapped
