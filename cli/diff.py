"""`muster diff`: what applying files would do, before it is done."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import typer

from cli.apply import Upgrade
from cli.options import Files

if TYPE_CHECKING:
    from cli.files import Document
    from cli.plane import Plane
    from cli.proposal import Proposal
    from cli.seen import Seen
    from cli.template_changes import ResourceChange
    from reconciler.actions import Action
    from reconciler.loop import Considered

STYLES = {"+": "green", "-": "red", "~": "yellow", "@": "cyan"}
GROUP = "AWS::AutoScaling::AutoScalingGroup"
DIFFERENT = 1


def diff(ctx: typer.Context, filename: Files, upgrade: Upgrade = False) -> None:
    """Show what applying files would change, and what the operator would do next. Writes nothing.

    Exit code: 0 nothing would change, 1 something would, 2 error.
    """
    from cli.files import read
    from reconciler.version import VERSION

    documents = read(filename)
    plane: Plane = ctx.obj.plane()
    if plane.version != VERSION:
        typer.echo(f"warning: planned by {VERSION}; the control plane is {plane.version} and may differ", err=True)
    different = [_diff(plane, document, plane.version if upgrade else "") for document in documents]
    if any(different):
        raise typer.Exit(DIFFERENT)


def _diff(plane: Plane, document: Document, upgrade: str) -> bool:
    """Show the differences of one document; False if there are none. Raises Failure when it would be refused."""
    from cli.failures import Failure
    from cli.proposal import propose
    from cli.seen import look

    cluster = look(plane, document.name)
    proposal = propose(document.in_bucket(plane.settings.artifacts_bucket), cluster.item, upgrade)
    _show(_spec(proposal, document.source))
    considered = _considered(plane, cluster, proposal)
    if considered.desired.errors:
        raise Failure(*(f"{document.source}: {error}" for error in considered.desired.errors))
    resources = _resources(plane, considered)
    plan = considered.plan
    _part(f"Plan for cluster/{document.name}:", (f"{_words(s.action)}: {s.event.message}" for s in plan.steps))
    _part("Withheld:", map(_words, plan.withheld))
    _part("Conditions:", _conditions(cluster, considered))
    _part("Template:", map(_resource, resources))
    _part("Consent:", _consent(considered, resources))
    return bool(proposal.changes or plan.steps or plan.withheld or resources)


def _considered(plane: Plane, cluster: Seen, proposal: Proposal) -> Considered:
    """The very plan that the next pass would make if the proposal stood in the table."""
    from reconciler.loop import consider, noticed
    from reconciler.record import Record

    tools = plane.tools()
    record = noticed(cluster.record or Record(cluster.name, "new"), proposal.item)
    return consider(tools, record, proposal.item, tools.now())


def _spec(proposal: Proposal, source: str) -> Iterator[str]:
    """A unified diff of the documents."""
    from cli.terminal import as_yaml

    before, after = (as_yaml(part).splitlines() if part else [] for part in (proposal.before, proposal.after))
    name = f"cluster/{proposal.name}"
    return difflib.unified_diff(before, after, f"{name} (applied)", f"{name} ({source})", lineterm="")


def _conditions(cluster: Seen, considered: Considered) -> Iterator[str]:
    """The conditions that would be others than they are."""
    for new in considered.plan.conditions:
        status, old = str(new.status), cluster.condition(new.type)
        if (status, new.reason, new.message) != (old.get("status"), old.get("reason"), old.get("message")):
            change = f"{old['status']} -> {status}" if old and old["status"] != status else status
            yield f"{new.type}: {change} ({new.reason}): {new.message}"


def _resources(plane: Plane, considered: Considered) -> list[ResourceChange]:
    """The resources that an update of the stack would touch; all of them when there is no stack yet."""
    from cli.template_changes import changes, template
    from reconciler.facts import HASH_TAG

    wanted, stack = considered.desired.rendered, considered.actual.stack
    if wanted is None or (stack and (stack.tags.get(HASH_TAG) == wanted.hash or _left_alone(considered))):
        return []
    running = plane.clients.cloudformation.get_template(StackName=stack.id)["TemplateBody"] if stack else {}
    return changes(template(running), template(wanted.body))


# Reasons of conditions that say that the stack is not updated to the template, though that is another.
LEFT_ALONE = ("OlderVersion", "StackNotOwned")


def _left_alone(considered: Considered) -> bool:
    return any(condition.reason in LEFT_ALONE for condition in considered.plan.conditions)


def _consent(considered: Considered, resources: Iterable[ResourceChange]) -> Iterator[str]:
    """What an update of the stack will be held for if CloudFormation finds that it replaces it."""
    from reconciler.plan.consent import holds

    cluster, wanted = considered.desired.cluster, considered.desired.rendered
    if cluster is None or wanted is None or considered.actual.stack is None:
        return
    old = considered.plan.record.rendering
    # A group is never replaced by an edit: only its removal takes nodes.
    possible = tuple(c.may_be() for c in resources if c.resource_type != GROUP or c.sign == "-")
    consent = frozenset(cluster.spec.consent)
    for hold in holds(possible, {**(old.names if old else {}), **wanted.names}, considered.actual, consent):
        yield f"needed if CloudFormation's change set says so: {hold}"


def _resource(change: ResourceChange) -> str:
    paths = f": {', '.join(change.paths)}" if change.paths else ""
    return f"{change.sign} {change.logical_id} ({change.resource_type}){paths}"


def _words(action: Action) -> str:
    from reconciler.plan.draft import words

    return words(action)


def _show(lines: Iterable[str], indent: str = "") -> None:
    from cli.terminal import coloured

    for line in lines:
        coloured(f"{indent}{line}", STYLES.get(line[:1], ""))


def _part(title: str, lines: Iterable[str]) -> None:
    shown = list(lines)
    if shown:
        typer.echo(f"\n{title}")
        _show(shown, "  ")
