"""The local AWS starts, knows its administrator and no one else, and leaves nothing behind."""

import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import urllib3
from botocore.exceptions import ClientError

from local import LocalAws, LocalAwsError, down, local_aws, up
from local.aws import ACCOUNT

HANDLER = """
import boto3, importlib.util, os
def handler(event, context):
    boto3.client("sqs").send_message(QueueUrl=event["allowed"], MessageBody="x")
    try:
        boto3.client("sqs").send_message(QueueUrl=event["denied"], MessageBody="x")
        denied = False
    except Exception as error:
        denied = "AccessDenied" in str(error)
    return {"denied": denied, "pid": os.getpid(), "typer": bool(importlib.util.find_spec("typer")),
            "who": boto3.client("sts").get_caller_identity()["Arn"]}
"""


def _gone(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


def _function(aws: LocalAws, queue: str) -> str:
    iam = aws.client("iam")
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    allow = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": f"arn:aws:sqs:us-east-1:{ACCOUNT}:{queue}"}
    role = iam.create_role(RoleName="f", AssumeRolePolicyDocument=json.dumps({"Statement": [trust]}))["Role"]["Arn"]
    iam.put_role_policy(RoleName="f", PolicyName="p", PolicyDocument=json.dumps({"Statement": [allow]}))
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w") as archive:
        archive.writestr("app.py", HANDLER)
    runtime = f"python{sys.version_info.major}.{sys.version_info.minor}"
    aws.client("lambda").create_function(
        FunctionName="f", Runtime=runtime, Role=role, Handler="app.handler", Code={"ZipFile": package.getvalue()}
    )
    return "f"


def test_a_function_has_its_roles_rights_its_package_and_no_more_and_ends_with_the_server() -> None:
    with local_aws() as aws:
        sqs = aws.client("sqs")
        urls = {name: sqs.create_queue(QueueName=name)["QueueUrl"] for name in ("allowed", "denied")}
        function = _function(aws, "allowed")
        answer = aws.client("lambda").invoke(FunctionName=function, Payload=json.dumps(urls))
        result = json.loads(answer["Payload"].read())
        assert result["denied"]
        assert not result["typer"], "the function sees what is installed beside the server"
        assert result["who"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/f/f"
        sends = {"role": "f", "action": "sqs:SendMessage"}
        told = [each for each in aws.decisions(forget=True) if each["action"] == sends["action"]]
        assert told == [{**sends, "allowed": False}, {**sends, "allowed": True}]
        assert aws.decisions() == []
        assert aws.calls()["f"][sends["action"]] == 2
        assert aws.client("logs").describe_log_groups()["logGroups"] == [], "its role may write no log"
        home = aws.log.parent
    assert _gone(aws.pid)
    with pytest.raises(ProcessLookupError):
        os.kill(result["pid"], 0)
    assert not home.exists()


WAITING = """
import json, os, signal, sys
from local import local_aws
from tests.integration.test_local_server import _function, _waiting_stack
context = local_aws()
aws = context.__enter__()
_waiting_stack(aws, _function(aws, "none"))
print(aws.pid, aws.log.parent, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def _waiting_stack(aws: LocalAws, function: str) -> None:
    """A stack that waits for a custom resource whose function never answers."""
    token = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:{function}"
    resource = {"Type": "Custom::Silent", "Properties": {"ServiceToken": token}}
    aws.client("cloudformation").create_stack(
        StackName="waiting", TemplateBody=json.dumps({"Resources": {"Silent": resource}})
    )


def test_it_ends_when_the_process_that_started_it_is_killed(eventually) -> None:
    command = [sys.executable, "-c", WAITING]
    started = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    group, home = started.stdout.split()
    eventually(lambda: _gone(int(group)))
    assert not Path(home).exists()


def test_up_finds_the_server_that_runs_and_down_ends_it(tmp_path: Path) -> None:
    first = up(0, home=tmp_path)
    try:
        assert up(0, home=tmp_path).endpoint == first.endpoint
    finally:
        assert down(tmp_path)
    assert _gone(first.pid)
    assert not down(tmp_path)


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    with local_aws() as aws, pytest.raises(LocalAwsError, match="Address already in use"):
        up(int(aws.endpoint.rpartition(":")[2]), home=tmp_path)


def test_the_administrator_may_do_all_and_nobody_else_anything(aws: LocalAws) -> None:
    assert aws.client("sts").get_caller_identity()["Arn"] == f"arn:aws:iam::{ACCOUNT}:root"
    aws.client("iam").create_user(UserName="nobody")
    key = aws.client("iam").create_access_key(UserName="nobody")["AccessKey"]
    for credentials, code in (
        ({"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}, "AccessDenied"),
        ({"aws_access_key_id": "AKIAUNKNOWN", "aws_secret_access_key": "x"}, "UnrecognizedClient"),
    ):
        with pytest.raises(ClientError) as caught:
            aws.client("dynamodb", **credentials).list_tables()
        assert code in caught.value.response["Error"]["Code"]


def test_settings_that_do_not_exist_are_refused(aws: LocalAws) -> None:
    with pytest.raises(ValueError, match="unknown settings"):
        aws.set(no_such=1)
    assert urllib3.request("GET", f"{aws.endpoint}/_local/settings").json()["complete_hooks"] is True
