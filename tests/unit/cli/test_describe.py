"""`muster describe`."""

import time

from reconciler.actions import Event
from reconciler.cluster import to_item
from tests.unit import factories
from tests.unit.cli.conftest import World


def described(world: World, *names: str) -> str:
    """What describe prints, runs of blanks made one."""
    return "\n".join(" ".join(line.split()) for line in world.run("describe", *names).stdout.splitlines())


def test_all_that_is_known_is_there(world: World) -> None:
    storage = {"name": "home", "mountDir": "/home-data", "ebs": {"size": 100}}
    world.put(labels={"team": "wx"}, sharedStorage=[storage], consent=["headNode"], tags={"project": "p"})
    world.reconciled(instances=(factories.head(private_ip="10.0.0.7", public_ip="198.51.100.7"),))
    world.tell("demo", Event("StackCreating", "Creating it.", "stack muster-demo"), at=time.time() - 7200)
    text = described(world, "demo")
    for line in (
        "Name: demo",
        "Labels: team=wx",
        "Annotations: <none>",
        "Generation: 1 (observed: 1)",
        "Phase: Ready",
        "Scheduler: none",
        "Head Node: t3.small",
        f"Network: {factories.VPC}, {factories.SUBNET}",
        "Shared Storage: home on /home-data (ebs, Retain)",
        "Tags: project=p",
        "Consent: headNode",
        "Deletion Protection: false",
        "Deletion Policy: Delete",
        "Head Node: i-head, running",
        "Private Address: 10.0.0.7",
        "Public Address: 198.51.100.7",
        "Stack: muster-demo, CREATE_COMPLETE",
        f"Stack ID: {factories.STACK_ID}",
        "Rendered by: 0.1.0",
        "Queues:",
        "NAME CAPACITY INSTANCE TYPES MIN MAX DESIRED IN SERVICE OUTDATED",
        "compute onDemand c7i.large 2 2 2 2 <none>",
        "Conditions:",
        "TYPE STATUS REASON SINCE MESSAGE",
        "120m Normal StackCreating stack muster-demo 1 Creating it.",
    ):
        assert line in text.splitlines(), f"{line!r} is not in\n{text}"
    assert "Ready True AsSpecified" in text
    assert "Retained" not in text


def test_a_spec_that_no_pass_has_seen(world: World) -> None:
    world.put()
    text = described(world, "demo")
    assert "Generation: not seen yet" in text
    assert "Phase: Pending" in text
    assert "Conditions:" not in text
    assert text.endswith("Events: <none>")


def test_a_spec_edited_since_the_last_pass_is_said_to_be(world: World) -> None:
    world.put()
    world.reconciled()
    world.put(paused=True)
    assert "Generation: 1 (observed: 1, and the spec was changed since)" in described(world)


def test_a_wrong_spec_shows_what_is_wrong_and_the_status_of_what_runs(world: World) -> None:
    item = to_item(factories.document())
    item["spec"]["M"]["colour"] = {"S": "red"}
    world.put_item(item)
    world.reconciled()
    text = described(world)
    assert "spec.colour: " in text
    assert "unknown field" in text
    assert "compute <none> <none> 2 2 2 2" in text


def test_what_outlives_a_cluster_and_what_waits_is_listed(world: World) -> None:
    world.put()
    record = world.reconciled()
    more = {
        "retained": [{"id": "vol-1", "type": "AWS::EC2::Volume", "policy": "Retain"}],
        "withheld": ["ResizeGroup Auto Scaling group g"],
        "lastPlan": {"at": "2026-01-01T00:00:00Z", "actions": ["CreateStack stack s"]},
    }
    world.remember(record.remember(status={**record.status, **more}))
    text = described(world)
    assert "AWS::EC2::Volume vol-1 Retain" in text
    assert "Withheld: ResizeGroup Auto Scaling group g" in text
    assert "Last Plan: 2026-01-01T00:00:00Z, CreateStack stack s" in text


def test_a_queue_that_leaves_the_spec_is_shown_while_its_group_is_there(world: World) -> None:
    world.put(queues=[factories.queue_spec("next", size=1)])
    world.reconciled()
    text = described(world)
    assert "next onDemand c7i.large <none> <none> <none> <none>" in text
    assert "compute <none> <none> 2 2 2 2" in text


def test_a_cluster_whose_spec_is_gone_is_described_by_its_record(world: World) -> None:
    world.put()
    world.reconciled()
    world.remove()
    assert "Phase: Deleting" in described(world, "demo")


def test_all_are_described_when_none_is_named(world: World) -> None:
    world.put("a")
    world.put("b")
    text = described(world)
    assert text.index("Name: a") < text.index("Name: b")


def test_a_missing_cluster_is_an_error(world: World) -> None:
    assert world.run("describe", "nope", code=1).stderr == 'error: cluster "nope" not found\n'


def test_control_characters_of_a_message_stay_out_of_the_terminal(world: World) -> None:
    world.put()
    record = world.reconciled()
    condition = {**record.status["conditions"][0], "message": "red \x1b[31m\nnews"}
    world.remember(record.remember(status={**record.status, "conditions": [condition]}))
    assert "\x1b" not in world.run("describe").stdout
    assert "red [31m news" in described(world)
