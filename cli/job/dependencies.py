"""What a job waits for, as -d takes it.

JOB, N_TO_N:JOB and SEQUENTIAL, with commas or semicolons between them; and as awsbsub took it: jobId=JOB,type=N_TO_N.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import typer

from cli.job.options import job_id

Dependency = dict[str, str]
SEQUENTIAL, N_TO_N = "SEQUENTIAL", "N_TO_N"
# AWS Batch API reference, SubmitJob.
MOST = 20
WAY_OUT = f"write JOB, {N_TO_N}:JOB or {SEQUENTIAL}, with commas between them"


def dependencies(texts: Iterable[str]) -> list[Dependency]:
    """Dependencies as SubmitJob takes them. Raises BadParameter."""
    found: list[Dependency] = []
    for part in (part.strip() for text in texts for part in re.split("[,;]", text)):
        if part:
            _add(found, part)
    if len(found) > MOST:
        raise typer.BadParameter(f"{len(found)} dependencies: Batch takes at most {MOST}")
    wrong = [each for each in found if not each.get("jobId") and each.get("type") != SEQUENTIAL]
    if wrong:
        raise typer.BadParameter(f"a dependency of type {wrong[0]['type']} names no job: {WAY_OUT}")
    return found


def _add(found: list[Dependency], part: str) -> None:
    """Add a dependency; or, when it is one half of a pair, to the half that stands before it."""
    key, sign, value = part.partition("=")
    if sign and key in ("jobId", "type"):
        if key == "type" and value not in (SEQUENTIAL, N_TO_N):
            raise typer.BadParameter(f"{value!r} is no type of a dependency: {N_TO_N} or {SEQUENTIAL}")
        half = {key: job_id(value) if key == "jobId" else value}
        if found and key not in found[-1] and found[-1].get("type") != SEQUENTIAL:
            found[-1].update(half)
        else:
            found.append(half)
    elif sign:
        raise typer.BadParameter(f"{part!r} is no dependency: {WAY_OUT}")
    elif part == SEQUENTIAL:
        found.append({"type": part})
    else:
        kind, _, identifier = part.rpartition(f"{N_TO_N}:")
        if kind or identifier == N_TO_N:
            raise typer.BadParameter(f"{part!r} is no dependency: {WAY_OUT}")
        found.append({"jobId": job_id(identifier), **({"type": N_TO_N} if part != identifier else {})})
