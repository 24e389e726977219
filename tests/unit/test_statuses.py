"""The tables of statuses hold every word that AWS's own service models have."""

import botocore.session
import pytest

from reconciler import statuses

SESSION = botocore.session.get_session()

TABLES = [
    ("cloudformation", "StackStatus", statuses.STACK),
    ("cloudformation", "StackStatus", statuses.TEARDOWN),
    ("cloudformation", "ChangeSetStatus", statuses.CHANGE_SET),
    ("cloudformation", "ExecutionStatus", statuses.EXECUTION),
    ("autoscaling", "LifecycleState", statuses.LIFECYCLE),
    ("ec2", "InstanceStateName", statuses.HEAD_NODE),
]


IDS = ["stack", "teardown", "change-set", "execution", "lifecycle", "head-node"]


@pytest.mark.parametrize(("service", "shape", "table"), TABLES, ids=IDS)
def test_a_table_has_a_row_for_every_status_of_the_service(service: str, shape: str, table: dict[str, object]) -> None:
    known = SESSION.get_service_model(service).shape_for(shape).enum
    assert set(table) == set(known)


def test_only_statuses_that_exist_are_looked_into() -> None:
    assert statuses.STACK.keys() >= statuses.STACK_FAILED


def test_nothing_in_progress_is_touched_but_a_creation_that_is_to_go() -> None:
    moving = [status for status in statuses.STACK if status.endswith("IN_PROGRESS") and status != "REVIEW_IN_PROGRESS"]
    assert {statuses.STACK[status] for status in moving} == {statuses.Step.WAIT}
    torn_down = [status for status in moving if statuses.TEARDOWN[status] is not statuses.Teardown.WAIT]
    assert torn_down == ["CREATE_IN_PROGRESS"]


def test_only_what_ended_well_may_be_updated() -> None:
    steady = {status for status, step in statuses.STACK.items() if step is statuses.Step.STEADY}
    assert steady == {
        "CREATE_COMPLETE",
        "UPDATE_COMPLETE",
        "UPDATE_ROLLBACK_COMPLETE",
        "IMPORT_COMPLETE",
        "IMPORT_ROLLBACK_COMPLETE",
    }
