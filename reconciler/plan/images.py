"""The images of a Batch cluster: built when the repository lacks them, and built again after a while if that failed.

A tag is a hash of what it is made from, so an image that is there is the wanted one. How often a build has failed is
read from CodeBuild and not remembered: a retry that a user starts there counts like one of ours.
"""

from typing import Any

from reconciler.actions import StartBuild
from reconciler.batch import PROJECT, Build
from reconciler.plan.draft import MAX_TRIES, Draft, Trouble, backoff, worst
from reconciler.render.batch.images import ImageBuild
from reconciler.statuses import BUILD, BuildStep

# Seconds. CodeBuild's event says when a build has ended, ECR's when an image is deleted; looking is the backstop.
LOOK_AT_BUILD, LOOK_AT_IMAGES = 300, 900
# Seconds after which a build that was started is looked at, so that the status can name it.
LOOK_AT_START = 10
RANK = ("Building", "Waiting", "Withheld", "BuildFailed", "UnknownStatus")


def plan(draft: Draft) -> None:
    """Plan for each image that is built, then say how they are as a whole."""
    assert draft.rendered.batch is not None
    found = [_image(draft, each) for each in draft.rendered.batch.images]
    troubles = [trouble for trouble in found if trouble]
    if not troubles:
        draft.condition("ImagesReady", True, "Built", "Every image is in the repository.")
        if found:
            draft.look(LOOK_AT_IMAGES)
        return
    draft.condition("ImagesReady", False, *worst(troubles, RANK))


def _image(draft: Draft, image: ImageBuild) -> Trouble | None:
    batch = draft.actual.batch
    shown: dict[str, Any] = {"name": image.name, "tag": image.tag}
    draft.show("images", shown)
    if image.tag in batch.images:
        shown["digest"] = batch.images[image.tag]
        return None
    serving = draft.record.pins.serving.get(image.name, "")
    if serving and serving != image.tag:
        shown["serving"] = serving
    builds = [build for build in batch.builds if build.tag == image.tag]
    if builds:
        shown["build"] = _wire(builds[0])
    project = draft.actual.stack.outputs.get(PROJECT, "") if draft.actual.stack else ""
    if not project:
        return "Waiting", f"image {image.name} is built once the stack is there"
    meanwhile = f"; {serving} serves meanwhile" if "serving" in shown else ""
    return _build(draft, image, project, builds, meanwhile)


def _build(draft: Draft, image: ImageBuild, project: str, builds: list[Build], meanwhile: str) -> Trouble:
    newest = builds[0] if builds else None
    step = BUILD.get(newest.status) if newest else None
    if newest and step is None:
        message = f"build {newest.id} is {newest.status}, which this version of Muster does not know"
        draft.stall("UnknownStatus", f"{message}. Update the control plane.")
        return "UnknownStatus", message
    if newest and step is BuildStep.RUNNING:
        return _building(draft, f"image {image.name} is being built: {newest.id} ({newest.phase}){meanwhile}")
    if newest and step is BuildStep.FAILED:
        failed = _failures(builds)
        told = f"build {newest.id} of image {image.name} {_how(newest)}{meanwhile}"
        if failed >= MAX_TRIES:
            way_out = f"Correct its source, or start it again with `aws codebuild retry-build --id {newest.id}`."
            draft.stall("BuildFailed", f"{failed} builds failed: {told}. {way_out}", "Degraded")
            return "BuildFailed", told
        again = (newest.ended or 0) + backoff(failed, f"{draft.desired.name}/{image.tag}")
        if again > draft.now:
            draft.look(again - draft.now)
            draft.progress("BuildFailed", f"{told}; it is built again in a while.")
            draft.phase("Degraded")
            return "BuildFailed", told
    # Nothing was built yet, or it failed and its time has come, or what was built has been deleted since.
    source = (image.archive or "").removeprefix("s3://")
    token = draft.token("build", image.tag, newest.id if newest else "")
    build = StartBuild(project, image.tag, image.dockerfile or "", source, image.architecture, token)
    why = "" if newest is None else "again, "
    message = f"image {image.name} is built {why}as {image.tag}{meanwhile}"
    if draft.act(build, "BuildStarted", f"{message[0].upper()}{message[1:]}."):
        draft.look(LOOK_AT_START)
        return _building(draft, message)
    return "Withheld", message


def _building(draft: Draft, message: str) -> Trouble:
    draft.look(LOOK_AT_BUILD)
    draft.progress("Building", f"{message[0].upper()}{message[1:]}.")
    draft.phase("Building")
    return "Building", message


def _failures(builds: list[Build]) -> int:
    """How many of an image's builds have failed since one of them went well; `builds` are newest first."""
    count = 0
    for build in builds:
        if BUILD.get(build.status) is not BuildStep.FAILED:
            break
        count += 1
    return count


def _how(build: Build) -> str:
    parts = [f"ended {build.status}", f"in phase {build.phase}" if build.phase else ""]
    said = " ".join(part for part in parts if part)
    return f"{said}: {build.reason or 'no reason is given'}" + (f" ({build.log})" if build.log else "")


def _wire(build: Build) -> dict[str, str]:
    told = {"id": build.id, "status": build.status, "phase": build.phase, "reason": build.reason, "log": build.log}
    return {key: value for key, value in told.items() if value}
