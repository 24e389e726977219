"""Every right has its reason, and every reason its right: nothing is granted that nobody needs."""

import json
import re
from typing import Any

import pytest

from reconciler.slurm import is_slurm
from tests.rights.granted import declared, granted
from tests.rights.scenarios import SCENARIOS
from tests.rights.table import documented, exercised
from tests.unit.render.support import MATRIX, cluster, rendered
from tests.unit.test_template import listed


def test_every_right_is_exercised_declared_or_documented() -> None:
    shown = {right for right, _ in exercised()}
    assert granted() - shown - declared() - {*documented()} == set()


def test_the_tables_hold_nothing_that_is_not_granted_and_nothing_twice() -> None:
    shown, told = [right for right, _ in exercised()], [*documented()]
    assert {*shown, *told} - granted() == set()
    assert len({*shown, *told}) == len(shown) + len(told)
    assert {*told} & declared() == set(), "a declaration is reason enough"


def test_every_scenario_shows_the_need_of_a_right() -> None:
    assert {scenario for _, scenario in exercised()} == {*SCENARIOS}


# What the `aws` commands in a node's user data need, by the beginning of the command.
COMMANDS: dict[str, set[str]] = {
    "dynamodb update-item": {"dynamodb:UpdateItem"},
    "logs create-log-stream": {"logs:CreateLogStream"},
    "logs put-log-events": {"logs:PutLogEvents"},
    "s3 cp --quiet -": {"s3:PutObject"},
    's3 cp --quiet "$AGENT': {"s3:GetObject"},
    's3 cp --quiet "$1"': {"s3:GetObject"},
    'autoscaling "$1"': {"autoscaling:CompleteLifecycleAction", "autoscaling:RecordLifecycleActionHeartbeat"},
    # With the rights on the key of an encrypted volume that whoever attaches it has to have (EBS User Guide).
    "ec2 attach-volume": {"ec2:AttachVolume", "kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey"},
}
# The rows and messages that are the nodes' own: what their agent does with Slurm, and what others may do without.
PROMISED: dict[str, set[str]] = {
    "HeadRole": {
        "dynamodb:DeleteItem",
        "dynamodb:GetItem",
        "dynamodb:PutItem",
        "dynamodb:Query",
        "dynamodb:UpdateItem",
        "sqs:DeleteMessage",
        "sqs:ReceiveMessage",
    },
    "ComputeRole": {"dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem", "sqs:SendMessage"},
}
# Besides, with Slurm: the head node's agent looks at the groups, and lets go what has left Slurm.
WITH_SLURM = {"autoscaling:CompleteLifecycleAction", "autoscaling:DescribeAutoScalingGroups"}
# spec.s3Access, by its documentation: "list and get", "also put and delete", of objects of any size and version.
S3_ACCESS = {
    "s3:AbortMultipartUpload",
    "s3:DeleteObject",
    "s3:GetObject",
    "s3:GetObjectVersion",
    "s3:ListBucket",
    "s3:ListMultipartUploadParts",
    "s3:PutObject",
}


@pytest.mark.parametrize("option", sorted(MATRIX))
def test_a_node_may_do_what_its_user_data_does_and_what_is_promised_of_it(option: str) -> None:
    of = cluster(**MATRIX[option])
    resources = json.loads(rendered(of).body)["Resources"]
    kinds = {"HeadRole": "AWS::EC2::Instance", "ComputeRole": "AWS::EC2::LaunchTemplate"}
    for role, kind in kinds.items():
        used = {right for command in _commands(resources, kind) for right in _needs(command)}
        may = _actions(resources[role])
        assert used - may <= ({"s3:GetObject"} if of.spec.bootstrap else set()), "scripts may come over https alone"
        promised = PROMISED[role] | (WITH_SLURM if role == "HeadRole" and is_slurm(of) else set())
        assert may - used - promised - (S3_ACCESS if of.spec.s3_access else set()) == set()
        assert may >= promised


def _commands(resources: dict[str, Any], kind: str) -> list[str]:
    text = [_text(each["Properties"]) for each in resources.values() if each["Type"] == kind]
    return [line for each in text for line in re.findall(r"\baws ([a-z0-9]+ [^\n]*)", each)]


def _text(value: Any) -> str:
    """All strings below a value, one after the other."""
    if isinstance(value, str):
        return value
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return "".join(map(_text, parts))


def _needs(command: str) -> set[str]:
    (found,) = (rights for begins, rights in COMMANDS.items() if command.startswith(begins))
    return found


def _actions(role: dict[str, Any]) -> set[str]:
    documents = [policy["PolicyDocument"] for policy in role["Properties"]["Policies"]]
    return {action for each in documents for some in each["Statement"] for action in listed(some["Action"])}
