"""`muster describe`: all that is known of a cluster, for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import typer

from cli.options import Names

if TYPE_CHECKING:
    from cli.plane import Plane
    from cli.seen import Seen
    from reconciler.cluster import Batch, SharedStorage, Spec


def describe(ctx: typer.Context, names: Names = None) -> None:
    """Show clusters in detail: what is wanted, what is there, conditions, queues, events."""
    from cli import seen

    plane: Plane = ctx.obj.plane()
    for number, cluster in enumerate(seen.some(plane, names or ())):
        if number:
            typer.echo("\n")
        _describe(cluster, plane.store.events(cluster.name))


def _describe(cluster: Seen, events: Sequence[Mapping[str, Any]]) -> None:
    from cli import batch_status
    from cli.events import print_events
    from cli.terminal import INDENT, age, fields, section, titled
    from reconciler.cluster import Invalid, parse

    document = cluster.document()
    parsed = parse(document)
    fields(_identity(cluster, document["metadata"]))
    if isinstance(parsed, Invalid):
        section("Spec", [(str(error.field), f"{error.value}: {error.rule}; {error.fix}") for error in parsed.errors])
    else:
        section("Spec", [(label, value(parsed.spec)) for label, value in SPEC.items()])
    section("Status", _status(cluster))
    spec = None if isinstance(parsed, Invalid) else parsed.spec
    if batch_status.shows(cluster.status) or (spec and spec.batch):
        _batch(cluster.status, spec.batch if spec else None)
    else:
        titled("Queues", QUEUES, _queues(cluster, spec))
    titled(
        "Conditions",
        ("TYPE", "STATUS", "REASON", "SINCE", "MESSAGE"),
        [[c["type"], c["status"], c["reason"], age(c["lastTransitionTime"]), c["message"]] for c in cluster.conditions],
    )
    titled("Retained", ("TYPE", "ID", "POLICY"), [_values(r, "type", "id", "policy") for r in _of(cluster, "retained")])
    typer.echo(f"Events:{'' if events else '  <none>'}")
    if events:
        print_events(events, of_many=False, indent=INDENT)


def _batch(status: Mapping[str, Any], spec: Batch | None) -> None:
    from cli import batch_status
    from cli.terminal import section, titled

    titled("Images", batch_status.IMAGES, batch_status.images(status, spec))
    titled("Builds", batch_status.BUILDS, batch_status.builds(status))
    if logs := batch_status.logs(status):
        section("Build Logs", logs)
    titled("Compute Environments", batch_status.ENVIRONMENTS, batch_status.environments(status, spec))
    titled("Queues", batch_status.QUEUES, batch_status.queues(status, spec))


def _identity(cluster: Seen, metadata: Mapping[str, Any]) -> list[tuple[str, object]]:
    from cli.terminal import age

    record = cluster.record
    observed = cluster.status.get("observedGeneration", "none")
    older = "" if cluster.observed else ", and the spec was changed since"
    return [
        ("Name", cluster.name),
        ("Labels", _pairs(metadata.get("labels"))),
        ("Annotations", _pairs(metadata.get("annotations"))),
        ("Age", age(record.created if record else None)),
        ("Generation", f"{record.generation} (observed: {observed}{older})" if record else "not seen yet"),
        ("Phase", cluster.phase),
    ]


def _status(cluster: Seen) -> list[tuple[str, object]]:
    stack, head = cluster.status.get("stack", {}), cluster.status.get("headNode", {})
    last = cluster.status.get("lastPlan", {})
    return [
        ("Head Node", _joined(head.get("instanceId"), head.get("state"))),
        ("Private Address", head.get("privateIp", "")),
        ("Public Address", head.get("publicIp", "")),
        ("Stack", _joined(stack.get("name"), stack.get("status"))),
        ("Stack ID", stack.get("id", "")),
        ("Rendered by", stack.get("version", "")),
        ("Last Plan", _joined(last.get("at"), *last.get("actions", ()))),
        *[("Withheld", action) for action in cluster.status.get("withheld", ())],
    ]


QUEUES = ("NAME", "CAPACITY", "INSTANCE TYPES", "MIN", "MAX", "DESIRED", "IN SERVICE", "OUTDATED")


def _queues(cluster: Seen, wanted: Spec | None) -> list[list[object]]:
    """A row a queue: of the spec what it is made of, of the status how it is. A queue may be in one of them alone."""
    status = {queue["name"]: queue for queue in _of(cluster, "queues")}
    spec = {queue.name: queue for queue in wanted.queues} if wanted else {}
    rows: list[list[object]] = []
    for name in dict.fromkeys((*spec, *status)):
        queue = spec.get(name)
        made = [queue.capacity_type, ",".join(queue.instance_types)] if queue else ["", ""]
        now = [status.get(name, {}).get(key) for key in ("min", "max", "desired", "inService", "outdated")]
        rows.append([name, *made, *("" if value is None else value for value in now)])
    return rows


def _storage(storage: SharedStorage) -> str:
    return f"{storage.name} on {storage.mount_dir} ({', '.join(storage.kinds)}, {storage.deletion_policy})"


SPEC: dict[str, Callable[[Spec], object]] = {
    "Scheduler": lambda spec: spec.scheduler,
    "Image": lambda spec: "" if spec.batch else spec.image.ami or spec.image.os,
    "Head Node": lambda spec: spec.head_node.instance_type if spec.head_node else "",
    "Network": lambda spec: _joined(spec.network.vpc_id, *spec.network.subnet_ids),
    "Shared Storage": lambda spec: ", ".join(_storage(storage) for storage in spec.shared_storage),
    "Tags": lambda spec: _pairs(spec.tags),
    "Consent": lambda spec: ", ".join(spec.consent),
    "Paused": lambda spec: spec.paused,
    "Deletion Protection": lambda spec: spec.deletion_protection,
    "Deletion Policy": lambda spec: spec.deletion_policy,
}


def _of(cluster: Seen, part: str) -> Sequence[Mapping[str, Any]]:
    return cluster.status.get(part, ())


def _values(of: Mapping[str, Any], *keys: str) -> list[object]:
    return [of[key] for key in keys]


def _joined(*parts: object) -> str:
    return ", ".join(str(part) for part in parts if part)


def _pairs(pairs: object) -> str:
    return ", ".join(f"{key}={value}" for key, value in pairs.items()) if isinstance(pairs, Mapping) else ""
