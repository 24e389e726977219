"""What a pass and a sweep cost in AWS calls, counted on the local AWS with the control plane deployed.

The functions' triggers are switched off, and the passes run in this process, so that each call is seen.
"""

import json
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import boto3
from botocore import xform_name

from bench import cold
from bench.figure import Figure
from local.aws import LocalAws, local_aws
from local.deploy import ControlPlane, build, deploy
from local.fixtures import network
from reconciler.clients import Clients
from reconciler.loop import Tools, reconcile
from reconciler.settings import Settings
from reconciler.store import Store, encode
from reconciler.sweep import sweep

PATIENCE = 60.0
DAY, SWEEP_MINUTES = 24 * 60, 5


def measure() -> Iterator[Figure]:
    """Calls of a creation, of a pass with nothing to do, and of sweeps; and what an idle cluster costs a day."""
    with local_aws(auth=False) as aws, patch.dict("os.environ", aws.environ(), clear=True):
        build()
        plane = deploy(aws)
        silence(aws)
        calls, session = Counter[str](), boto3.Session()
        boto3.DEFAULT_SESSION = session
        session.events.register("before-call", lambda model, **_: calls.update([_name(model)]))
        tools = tools_of(aws, plane)
        yield from _passes(aws, plane, tools, calls)
        yield from _first_pass(aws, plane, tools, session)


def _name(model: Any) -> str:
    return f"{model.service_model.service_name}:{model.name}"


def _passes(aws: LocalAws, plane: ControlPlane, tools: Tools, calls: Counter[str]) -> Iterator[Figure]:
    net = network(aws)
    spec = {
        "headNode": {"instanceType": "c6i.large"},
        "queues": [{"name": "compute", "instanceTypes": ["c6i.large"], "size": 2}],
        "network": {"vpcId": net.vpc_id, "subnetIds": list(net.subnet_ids)},
    }
    aws.client("dynamodb").put_item(TableName=plane.outputs["SpecsTable"], Item=encode({"name": "bench", "spec": spec}))
    with counting(calls) as made:
        until_ready(tools)
    yield Figure("create_calls", sum(made.values()), "AWS calls from the spec to Ready, passes that only wait included")
    with counting(calls) as made:
        report = reconcile(tools, "bench", "bench")
    assert report.result == "unchanged", report
    dynamodb = sum(count for call, count in made.items() if call.startswith("dynamodb:"))
    yield Figure("noop_pass_dynamodb_calls", dynamodb, "calls")
    services = Counter(call.partition(":")[0] for call in made.elements() if not call.startswith("dynamodb:"))
    yield Figure("noop_pass_describe_calls", max(services.values()), f"calls a service ({len(services)} services)")
    with counting(calls) as made:
        sweep(tools.clients, tools.settings, time.time())
    yield Figure(
        "sweep_calls", sum(made.values()), "calls of a sweep over one cluster, and over any number in one page"
    )
    sweeps = DAY / SWEEP_MINUTES
    yield Figure("idle_calls_day", sum(made.values()) * sweeps, "calls a day with all clusters as they should be")
    seconds = statistics.median(_timed(lambda: sweep(tools.clients, tools.settings, time.time())) for _ in range(9))
    yield Figure("idle_lambda_seconds_day", round(seconds * sweeps, 1), "seconds a day of the sweep, on this machine")


def _first_pass(aws: LocalAws, plane: ControlPlane, tools: Tools, session: Any) -> Iterator[Figure]:
    """The function as it is deployed, started for a pass over the cluster that is as it should be."""
    calls: list[cold.Call] = []

    def asked(params: Any, model: Any, **_: Any) -> None:
        calls.append((model.service_model.service_name, xform_name(model.name), params))

    session.events.register("before-parameter-build", asked)
    reconcile(tools, "bench", "bench")
    session.events.unregister("before-parameter-build", asked)
    deployed = aws.client("lambda").get_function_configuration(FunctionName=plane.outputs["ReconcileFunction"])
    record = {
        "messageId": "1",
        "receiptHandle": "1",
        "body": json.dumps({"cluster": "bench"}),
        "attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": str(int(time.time() * 1000))},
        "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:muster_wakes.fifo",
    }
    environment = aws.env | deployed["Environment"]["Variables"]
    yield from cold.measure_first_pass(environment, {"Records": [record]}, calls)


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


@contextmanager
def counting(calls: Counter[str]) -> Iterator[Counter[str]]:
    """The calls that the block makes."""
    before, made = Counter(calls), Counter[str]()
    yield made
    made.update(calls - before)


def until_ready(tools: Tools, name: str = "bench") -> None:
    """Make passes until the cluster is ready."""
    deadline = time.monotonic() + PATIENCE
    while reconcile(tools, name, "bench").phase != "Ready":
        assert time.monotonic() < deadline, "the cluster did not become ready"
        time.sleep(1)


def silence(aws: LocalAws) -> None:
    """Switch the functions' triggers off."""
    functions = aws.client("lambda")
    for mapping in functions.list_event_source_mappings()["EventSourceMappings"]:
        functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)


def tools_of(aws: LocalAws, plane: ControlPlane) -> Tools:
    """What a pass in this process works with."""
    out = plane.outputs
    described = aws.client("dynamodb").describe_table(TableName=out["StateTable"])["Table"]
    settings = replace(
        Settings(),
        owner=plane.stack,
        region="us-east-1",
        account="123456789012",
        specs_table=out["SpecsTable"],
        state_table=out["StateTable"],
        state_table_arn=described["TableArn"],
        wakes_queue_url=out["WakesQueueUrl"],
        background_queue_url=out["BackgroundQueueUrl"],
        inbox_queue_url=out["InboxQueueUrl"],
        artifacts_bucket=out["ArtifactsBucket"],
        cleanup_function_arn=out["CleanupFunctionArn"],
        stack_role_arn=out["StackRoleArn"],
    )
    clients = Clients("us-east-1")
    store = Store(clients.dynamodb, settings.specs_table, settings.state_table)
    seconds_left: Callable[[], float] = lambda: 60.0  # noqa: E731
    return Tools(clients, settings, store, time.time, seconds_left)
