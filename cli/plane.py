"""The control plane: found by the outputs of its stack, once in the life of the process."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import ClientError

from cli.failures import Failure
from reconciler.clients import Clients
from reconciler.settings import Settings
from reconciler.store import Store

if TYPE_CHECKING:
    from cli.options import Target
    from reconciler.loop import Tools

# The settings that a rendering and the two tables need, by the output of the control plane's stack that says them.
OUTPUTS: dict[str, str] = {
    "specs_table": "SpecsTable",
    "state_table": "StateTable",
    "artifacts_bucket": "ArtifactsBucket",
    "cleanup_function_arn": "CleanupFunctionArn",
}
VERSION_OUTPUT = "Version"


@dataclass(frozen=True, slots=True)
class Plane:
    """A control plane that is deployed: its operator's version, its settings, and the way to AWS."""

    version: str
    settings: Settings
    clients: Clients
    store: Store

    def tools(self) -> Tools:
        """What the reconciler's own functions work with."""
        from reconciler.loop import Tools

        return Tools(self.clients, self.settings, self.store, now=time.time, seconds_left=lambda: math.inf)


def find(target: Target) -> Plane:
    """The control plane of a target. Raises Failure when its stack is not there, or is another thing."""
    boto3.setup_default_session(profile_name=target.profile, region_name=target.region)
    clients = Clients(target.region)
    region = clients.cloudformation.meta.region_name
    found = _stack(clients, target.stack, region)
    outputs = {output["OutputKey"]: output["OutputValue"] for output in found.get("Outputs", ())}
    missing = [name for name in (*OUTPUTS.values(), VERSION_OUTPUT) if name not in outputs]
    if missing:
        raise Failure(
            f"stack {target.stack} ({found['StackStatus']}) has no output {missing[0]}: it is no control plane of "
            "Muster, or is still being deployed; name the right one with --stack"
        )
    settings = _settings(target.stack, region, found["StackId"], outputs)
    store = Store(clients.dynamodb, settings.specs_table, settings.state_table)
    return Plane(outputs[VERSION_OUTPUT], settings, clients, store)


def _stack(clients: Clients, name: str, region: str) -> Mapping[str, Any]:
    try:
        return clients.cloudformation.describe_stacks(StackName=name)["Stacks"][0]
    except ClientError as error:
        if "does not exist" not in str(error):
            raise
        raise Failure(
            f"no stack {name} in {region}: is the control plane deployed? `sam deploy` deploys it; "
            "--stack and --region name another"
        ) from error


def _settings(stack: str, region: str, stack_id: str, outputs: Mapping[str, str]) -> Settings:
    """Partition and account are those of the stack's own ARN."""
    _, partition, _, _, account, *_ = stack_id.split(":")
    named: dict[str, Any] = {field: outputs[output] for field, output in OUTPUTS.items()}
    return Settings(
        owner=stack,
        region=region,
        partition=partition,
        account=account,
        state_table_arn=f"arn:{partition}:dynamodb:{region}:{account}:table/{named['state_table']}",
        **named,
    )
