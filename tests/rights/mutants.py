"""Every right that a scenario is said to need, removed in turn. `make rights` runs this; its name keeps it out of
`make test`, where a few of them are run (tests/e2e/test_mutants.py)."""

import uuid
from collections.abc import Iterator

import pytest

from reconciler.store import encode, state_key
from tests.e2e.world import Cluster, World
from tests.rights.mutation import Watched, survives
from tests.rights.scenarios import SCENARIOS
from tests.rights.table import Right, exercised

MUTANTS = sorted(exercised())


@pytest.fixture
def name(world: World) -> Iterator[str]:
    """A cluster's name. What a broken control plane leaves of it is taken away by hand, and so disturbs no other."""
    made = f"mutant-{uuid.uuid4().hex[:8]}"
    yield made
    dynamodb = world.client("dynamodb")
    dynamodb.delete_item(TableName=world.out("SpecsTable"), Key=encode({"name": made}))
    dynamodb.delete_item(TableName=world.out("StateTable"), Key=state_key(made))
    for queue in ("Inbox", "Wakes", "Background"):
        world.client("sqs").purge_queue(QueueUrl=world.out(f"{queue}QueueUrl"))
    world.client("cloudformation").delete_stack(StackName=f"muster-{made}")


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_with_all_rights_it_succeeds_and_nothing_is_refused(world: World, name: str, scenario: str) -> None:
    world.aws.decisions(forget=True)
    SCENARIOS[scenario](Cluster(world, name))
    assert [each for each in world.aws.decisions() if not each["allowed"]] == []


@pytest.mark.parametrize(("right", "scenario"), MUTANTS, ids=[str(right) for right, _ in MUTANTS])
def test_without_it_a_scenario_fails(world: World, name: str, right: Right, scenario: str) -> None:
    assert survives(Watched(world, name, right), right, scenario) == ""
