"""`muster apply`: what is in files goes into the specs table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import Files

if TYPE_CHECKING:
    from cli.files import Document
    from cli.plane import Plane
    from cli.proposal import Proposal

Upgrade = Annotated[
    bool, typer.Option("--upgrade", help="Ask for a rendering by the version of the operator that is deployed.")
]


def apply(
    ctx: typer.Context,
    filename: Files,
    upgrade: Upgrade = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and write nothing.")] = False,
) -> None:
    """Create clusters, or change them to what files say. All files are checked before anything is written."""
    from cli.files import read
    from cli.proposal import propose
    from cli.seen import look

    documents = read(filename)
    plane: Plane = ctx.obj.plane()
    for document in documents:
        item = look(plane, document.name).item
        addressed = document.in_bucket(plane.settings.artifacts_bucket)
        proposal = propose(addressed, item, plane.version if upgrade else "")
        if not dry_run:
            _send(plane, document)
        if proposal.changes and not dry_run:
            plane.clients.dynamodb.put_item(TableName=plane.settings.specs_table, Item=proposal.item)
        typer.echo(f"cluster/{document.name} {_outcome(proposal)}{' (dry run)' if dry_run else ''}")


def _send(plane: Plane, document: Document) -> None:
    """Send what the images are built from; also if the spec is as it was, for the archive may have gone since."""
    from cli.sources import send

    for source in document.packed.values():
        if send(plane.clients.s3, plane.settings.artifacts_bucket, document.name, source):
            files = sum(not entry.name.endswith("/") for entry in source.entries)
            typer.echo(f"{source.folder}: sent {files} files, {source.size} bytes", err=True)


def _outcome(proposal: Proposal) -> str:
    if proposal.before is None:
        return "created"
    return "configured" if proposal.changes else "unchanged"
