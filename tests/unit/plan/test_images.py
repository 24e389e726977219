"""Images: built when the repository lacks them, tried again after a while, and never twice for the same content."""

import re
from typing import Any

import pytest

from reconciler.actions import StartBuild
from reconciler.batch import Build
from reconciler.pins import Pins
from reconciler.plan.draft import MAX_TRIES
from reconciler.plan.images import LOOK_AT_BUILD, LOOK_AT_IMAGES, LOOK_AT_START
from reconciler.statuses import BUILD, BuildStep
from tests.unit.batch_factories import DIGEST, PROJECT, Scene, batch_of, build, scene, shown, told
from tests.unit.factories import NOW, condition, kinds, message
from tests.unit.render.batches import DOCKERFILE

FAILED = [status for status, step in BUILD.items() if step is BuildStep.FAILED]
LONG_AGO = NOW - 100_000


def lacking(*builds: Build, batch: dict[str, Any] | None = None, **spec: Any) -> Scene:
    """A cluster whose images are not in the repository, and whose project has these builds, the newest first."""
    return scene(batch, **spec).seeing(images={}, builds=builds).remembering(pins=Pins())


def tag(of: Scene | None = None) -> str:
    return batch_of((of or scene()).wanted).images[0].tag


def failures(count: int, status: str = "FAILED", ended: float | None = LONG_AGO, **fields: Any) -> tuple[Build, ...]:
    return tuple(build(tag(), status, number, ended=ended, **fields) for number in range(count, 0, -1))


def started(of: Scene, now: float = NOW) -> StartBuild:
    (action,) = of.plan(now).actions
    assert isinstance(action, StartBuild)
    return action


def test_an_image_in_the_repository_is_shown_with_its_digest() -> None:
    plan_ = scene().plan()
    assert plan_.steps == ()
    assert condition(plan_, "ImagesReady") == (True, "Built")
    assert shown(plan_, "images") == [{"name": "app", "tag": tag(), "digest": DIGEST}]
    assert condition(plan_, "Ready") == (True, "AsSpecified")
    assert plan_.next_look == NOW + LOOK_AT_IMAGES, "it may be deleted, and no event is sure to come"


def test_an_image_that_the_repository_lacks_is_built() -> None:
    plan_ = lacking().plan()
    action = started(lacking())
    assert (action.project, action.tag, action.dockerfile) == (PROJECT, tag(), DOCKERFILE["dockerfile"])
    assert (action.source, action.architecture) == ("", "x86_64")
    assert re.fullmatch(r"[-a-zA-Z0-9]{1,64}", action.token)
    assert told(plan_)[0] == "BuildStarted"
    assert condition(plan_, "ImagesReady") == (False, "Building")
    assert condition(plan_, "Reconciling") == (True, "Building")
    assert condition(plan_, "Ready") == (False, "Building")
    assert plan_.phase == "Building"
    assert plan_.next_look == NOW + LOOK_AT_START


def test_an_archive_is_built_where_it_lies_and_for_the_processor_that_runs_it() -> None:
    arm = {
        "images": [{"name": "app", "archive": "s3://sources/path/app.zip"}],
        "computeEnvironments": [{"name": "any", "architecture": "arm64"}],
        "jobDefinitions": [{"name": "run", "image": "app", "architecture": "arm64"}],
    }
    action = started(lacking(batch=arm))
    assert (action.dockerfile, action.source, action.architecture) == ("", "sources/path/app.zip", "arm64")


def test_an_image_of_a_registry_is_never_built() -> None:
    plan_ = lacking(batch={"images": [{"name": "app", "uri": "public.ecr.aws/docker/library/busybox:1"}]}).plan()
    assert plan_.steps == ()
    assert condition(plan_, "ImagesReady") == (True, "Built")
    assert "images" not in plan_.record.status
    assert plan_.next_look is None


def test_of_several_images_only_those_that_lack_are_built() -> None:
    two = {"images": [DOCKERFILE, {"name": "other", "dockerfile": "FROM scratch\n"}]}
    whole = scene(two)
    there, lacks = batch_of(whole.wanted).images
    plan_ = whole.seeing(images={there.tag: DIGEST}).plan()
    assert [action.tag for action in plan_.actions if isinstance(action, StartBuild)] == [lacks.tag]
    assert [each.get("digest") for each in shown(plan_, "images")] == [DIGEST, None]
    assert condition(plan_, "ImagesReady") == (False, "Building")


@pytest.mark.parametrize("stack", ["none", "creating", "without-outputs"])
def test_an_image_waits_for_the_project_that_builds_it(stack: str) -> None:
    of = lacking()
    changed = {
        "none": Scene(of.wanted, type(of.there)(), of.memory),
        "creating": of.on("CREATE_IN_PROGRESS", outputs={}),
        "without-outputs": of.on(outputs={}),
    }[stack]
    plan_ = changed.plan()
    assert "StartBuild" not in kinds(plan_)
    assert condition(plan_, "ImagesReady") == (False, "Waiting")
    assert "Waiting" not in told(plan_)


def test_a_build_that_runs_is_waited_for() -> None:
    plan_ = lacking(build(tag(), "IN_PROGRESS", phase="BUILD", log="https://logs")).plan()
    assert plan_.steps == ()
    assert condition(plan_, "ImagesReady") == (False, "Building")
    assert condition(plan_, "Reconciling") == (True, "Building")
    assert f"{PROJECT}:1 (BUILD)" in message(plan_, "ImagesReady")
    assert plan_.next_look == NOW + LOOK_AT_BUILD
    (image,) = shown(plan_, "images")
    assert image["build"] == {
        "id": f"{PROJECT}:1",
        "status": "IN_PROGRESS",
        "phase": "BUILD",
        "log": "https://logs",
    }


def test_builds_of_other_images_are_none_of_its_own() -> None:
    of = lacking(build("app-0ther", "FAILED", 9, ended=NOW), build("app-0ther", "IN_PROGRESS", 8))
    assert started(of).token == started(lacking()).token


@pytest.mark.parametrize("status", FAILED)
def test_a_build_that_failed_is_told_and_tried_again_after_a_while(status: str) -> None:
    failed = failures(1, status, NOW - 5, phase="BUILD", reason="docker: no such image", log="https://logs")
    plan_ = lacking(*failed).plan()
    assert plan_.steps == ()
    assert condition(plan_, "ImagesReady") == (False, "BuildFailed")
    assert condition(plan_, "Reconciling") == (True, "BuildFailed")
    assert condition(plan_, "Stalled")[0] is False
    for words in (status, "phase BUILD", "docker: no such image", "https://logs", f"{PROJECT}:1"):
        assert words in message(plan_, "ImagesReady")
    assert plan_.phase == "Degraded"
    assert plan_.next_look is not None
    assert NOW + 25 <= plan_.next_look <= NOW + 40
    assert "BuildFailed" in told(plan_)

    again = started(lacking(*failed), plan_.next_look)
    assert again.tag == tag()
    assert again.token != started(lacking()).token, "CodeBuild would answer with the build that failed"


def test_a_second_failure_is_given_more_time() -> None:
    first, second = (lacking(*failures(count, ended=NOW)).plan().next_look for count in (1, 2))
    assert first is not None
    assert second is not None
    assert second > first
    assert started(lacking(*failures(2, ended=NOW)), second)


def test_a_build_that_says_not_when_it_ended_is_tried_again_at_once() -> None:
    """Counted from now, its time would never come."""
    assert started(lacking(*failures(1, ended=None)))


def test_a_third_failure_waits_for_the_user_and_says_what_to_do() -> None:
    failed = failures(MAX_TRIES, phase="POST_BUILD", reason="denied")
    plan_ = lacking(*failed).plan()
    assert plan_.steps == ()
    assert condition(plan_, "ImagesReady") == (False, "BuildFailed")
    assert condition(plan_, "Stalled") == (True, "BuildFailed")
    assert f"aws codebuild retry-build --id {PROJECT}:3" in message(plan_, "Stalled")
    assert "denied" in message(plan_, "Stalled")
    assert plan_.phase == "Degraded"
    assert plan_.next_look is None


def test_a_failure_without_a_reason_says_so() -> None:
    assert "no reason is given" in message(lacking(*failures(1, ended=NOW)).plan(), "ImagesReady")


def test_a_retry_of_the_users_is_waited_for_like_one_of_ours() -> None:
    plan_ = lacking(build(tag(), "IN_PROGRESS", 4), *failures(MAX_TRIES)).plan()
    assert plan_.steps == ()
    assert condition(plan_, "Stalled")[0] is False
    assert condition(plan_, "ImagesReady") == (False, "Building")


def test_and_counts_like_one_of_ours() -> None:
    plan_ = lacking(*failures(MAX_TRIES + 1)).plan()
    assert condition(plan_, "Stalled") == (True, "BuildFailed")
    assert message(plan_, "Stalled").startswith("4 builds failed")


def test_an_image_that_was_deleted_after_it_was_built_is_built_again() -> None:
    of = lacking(build(tag(), "SUCCEEDED", 2, ended=NOW), build(tag(), "FAILED", 1, ended=LONG_AGO))
    action = started(of)
    assert action.token != started(lacking()).token
    assert "again" in message(of.plan(), "ImagesReady")


def test_failures_before_a_build_that_went_well_do_not_count() -> None:
    well = build(tag(), "SUCCEEDED", 7)
    plan_ = lacking(build(tag(), "FAILED", 8, ended=NOW), well, *failures(6)).plan()
    assert condition(plan_, "Stalled")[0] is False
    assert condition(plan_, "ImagesReady") == (False, "BuildFailed")


def test_an_unknown_status_stops_and_says_so() -> None:
    plan_ = lacking(build(tag(), "PONDERING")).plan()
    assert plan_.steps == ()
    assert condition(plan_, "ImagesReady") == (False, "UnknownStatus")
    assert condition(plan_, "Stalled") == (True, "UnknownStatus")
    assert "PONDERING" in message(plan_, "Stalled")


SOON = [(), (build(tag(), "IN_PROGRESS"),), failures(1, ended=NOW)]


@pytest.mark.parametrize("builds", SOON, ids=["to-be-built", "building", "failed"])
def test_meanwhile_the_old_image_serves(builds: tuple[Build, ...]) -> None:
    plan_ = lacking(*builds).remembering(pins=Pins(serving={"app": "app-before"})).plan()
    assert "app-before serves meanwhile" in message(plan_, "ImagesReady")
    assert shown(plan_, "images")[0]["serving"] == "app-before"
    assert "serves" not in message(lacking(*builds).plan(), "ImagesReady")


def test_a_paused_cluster_builds_nothing_and_says_what_it_would() -> None:
    plan_ = lacking(paused=True).plan()
    assert plan_.steps == ()
    assert [type(action).__name__ for action in plan_.withheld] == ["StartBuild"]
    assert condition(plan_, "ImagesReady") == (False, "Withheld")
    assert condition(plan_, "Reconciling") == (False, "Paused")


def test_the_same_build_is_asked_for_with_the_same_token() -> None:
    """A pass that was killed before it wrote what it did asks again, and CodeBuild starts nothing new."""
    of = lacking()
    assert started(of) == started(of, NOW + 60)
    assert started(of).token != started(of.remembering(uid="another life")).token


def test_the_worst_of_several_images_is_told_with_all_their_messages() -> None:
    two = {"images": [DOCKERFILE, {"name": "other", "dockerfile": "FROM scratch\n"}]}
    first, second = (each.tag for each in batch_of(scene(two).wanted).images)
    plan_ = lacking(build(first, "IN_PROGRESS", 2), build(second, "FAILED", 1, ended=NOW), batch=two).plan()
    assert condition(plan_, "ImagesReady") == (False, "BuildFailed")
    assert f"{PROJECT}:2" in message(plan_, "ImagesReady")
    assert f"{PROJECT}:1" in message(plan_, "ImagesReady")
