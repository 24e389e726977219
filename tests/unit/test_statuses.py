"""The tables of statuses hold every word that AWS's own service models have."""

import ast
from pathlib import Path

import botocore.session
import pytest

import reconciler
from reconciler import statuses

SESSION = botocore.session.get_session()

TABLES = [
    ("cloudformation", "StackStatus", statuses.STACK),
    ("cloudformation", "StackStatus", statuses.TEARDOWN),
    ("cloudformation", "ChangeSetStatus", statuses.CHANGE_SET),
    ("cloudformation", "ExecutionStatus", statuses.EXECUTION),
    ("autoscaling", "LifecycleState", statuses.LIFECYCLE),
    ("autoscaling", "ScalingActivityStatusCode", statuses.ACTIVITY),
    ("ec2", "InstanceStateName", statuses.HEAD_NODE),
    ("batch", "CEStatus", statuses.STANDING),
    ("batch", "JQStatus", statuses.STANDING),
    ("batch", "CEState", statuses.ENABLED),
    ("batch", "JQState", statuses.ENABLED),
    ("batch", "JobStatus", statuses.JOB),
    ("codebuild", "StatusType", statuses.BUILD),
]


@pytest.mark.parametrize(
    ("service", "shape", "table"), TABLES, ids=[f"{shape}-{n}" for n, (_, shape, _) in enumerate(TABLES)]
)
def test_a_table_has_a_row_for_every_status_of_the_service(service: str, shape: str, table: dict[str, object]) -> None:
    known = SESSION.get_service_model(service).shape_for(shape).enum
    assert set(table) == set(known)


def test_the_events_of_a_stack_are_its_resources_and_its_own() -> None:
    """DescribeStackEvents gives the stack's own statuses in the same field."""
    model = SESSION.get_service_model("cloudformation")
    known = {status for shape in ("ResourceStatus", "StackStatus") for status in model.shape_for(shape).enum}
    assert set(statuses.EVENT) == known


def test_every_stack_that_is_waited_for_is_shown_in_words() -> None:
    waited = {status for status, step in statuses.STACK.items() if step is statuses.Step.WAIT}
    assert set(statuses.UNDER_WAY) == waited


def test_only_statuses_that_exist_are_looked_into() -> None:
    assert statuses.STACK.keys() >= statuses.STACK_FAILED


def test_nothing_in_progress_is_touched_but_a_creation_that_is_to_go() -> None:
    moving = [status for status in statuses.STACK if status.endswith("IN_PROGRESS") and status != "REVIEW_IN_PROGRESS"]
    assert {statuses.STACK[status] for status in moving} == {statuses.Step.WAIT}
    torn_down = [status for status in moving if statuses.TEARDOWN[status] is not statuses.Teardown.WAIT]
    assert torn_down == ["CREATE_IN_PROGRESS"]
    batch = [status for status in statuses.STANDING if status.endswith("ING")]
    assert {statuses.STANDING[status] for status in batch} == {statuses.Standing.MOVING, statuses.Standing.GOING}


def test_only_what_ended_well_may_be_updated() -> None:
    steady = {status for status, step in statuses.STACK.items() if step is statuses.Step.STEADY}
    assert steady == {
        "CREATE_COMPLETE",
        "UPDATE_COMPLETE",
        "UPDATE_ROLLBACK_COMPLETE",
        "IMPORT_COMPLETE",
        "IMPORT_ROLLBACK_COMPLETE",
    }
    sound = {status for status, step in statuses.STANDING.items() if step is statuses.Standing.SOUND}
    assert sound == {"VALID"}


def test_only_jobs_that_have_ended_do_not_count() -> None:
    assert {status for status, step in statuses.JOB.items() if step is statuses.JobStep.DONE} == {"SUCCEEDED", "FAILED"}


def test_only_a_build_that_went_well_is_done() -> None:
    steps = {step: {status for status, of in statuses.BUILD.items() if of is step} for step in statuses.BuildStep}
    assert steps[statuses.BuildStep.DONE] == {"SUCCEEDED"}
    assert steps[statuses.BuildStep.RUNNING] == {"IN_PROGRESS"}


def _compared(source: str) -> set[str]:
    """The texts that a source compares something with."""
    compared = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Compare))
    parts = (part for node in compared for part in ast.walk(node))
    return {part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)}


def test_no_status_is_judged_outside_of_the_tables() -> None:
    known = {status for _, _, table in TABLES for status in table} | set(statuses.EVENT)
    sources = Path(reconciler.__file__).parent.rglob("*.py")
    assert {source.name: found for source in sources if (found := _compared(source.read_text()) & known)} == {}


def test_a_status_that_is_judged_elsewhere_would_be_seen() -> None:
    assert _compared('if stack.status in ("CREATE_FAILED", other): pass') == {"CREATE_FAILED"}
