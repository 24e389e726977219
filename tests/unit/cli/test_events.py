"""`muster events`."""

import json
import time

import pytest
import yaml

from reconciler.actions import Event
from tests.unit.cli.conftest import World

MADE = Event("StackCreating", "Creating stack\nmuster-demo.", "stack muster-demo")
RESIZED = Event("GroupResized", "Put back [to 2].", "Auto Scaling group muster-demo.compute", warning=True)


def test_events_are_listed_newest_last_and_counted(world: World) -> None:
    world.put()
    now = time.time()
    world.tell("demo", RESIZED, at=now - 7300)
    world.tell("demo", MADE, at=now - 300)
    world.tell("demo", RESIZED, at=now - 60.5)
    header, first, last = world.lines("events", "demo")
    assert header == ["LAST", "SEEN", "TYPE", "REASON", "OBJECT", "COUNT", "MESSAGE"]
    assert first[:3] == ["5m", "Normal", "StackCreating"] or first[0].startswith("5m")
    assert first[1:3] == ["Normal", "StackCreating"]
    assert last[1:3] == ["Warning", "GroupResized"]
    assert " ".join(last).endswith("Auto Scaling group muster-demo.compute 2 Put back [to 2].")


def test_a_message_of_several_lines_is_one_row(world: World) -> None:
    world.tell("demo", MADE)
    assert world.run("events", "demo").stdout.splitlines()[1].endswith("Creating stack muster-demo.")


def test_events_of_all_clusters_say_whose_they_are(world: World) -> None:
    world.put("a")
    world.put("b")
    world.tell("a", MADE, at=2)
    world.tell("b", RESIZED, at=1)
    header, *rows = world.lines("events")
    assert header[2] == "CLUSTER"
    assert [row[1] for row in rows] == ["b", "a"]


def test_events_outlive_their_cluster(world: World) -> None:
    world.tell("demo", MADE)
    world.forget()
    assert "StackCreating" in world.run("events", "demo").stdout


def test_silence_and_absence_are_two_things(world: World) -> None:
    world.put()
    assert world.run("events", "demo").stderr == "No events found.\n"
    assert world.run("events").stderr == "No events found.\n"
    assert world.run("events", "nope", code=1).stderr == 'error: cluster "nope" not found\n'


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_events_as_data(world: World, form: str) -> None:
    world.tell("demo", MADE, at=0)
    world.tell("demo", MADE, at=60)
    read = {"json": json.loads, "yaml": yaml.safe_load}[form]
    (event,) = read(world.run("events", "demo", "-o", form).stdout)["items"]
    assert (event["cluster"], event["count"], event["firstTimestamp"]) == ("demo", 2, "1970-01-01T00:00:00Z")
