"""`muster apply` of a cluster with a directory, by a user with the rights that docs/cli.md lists, and a build of it."""

import json
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from cli.main import app
from local.aws import ACCOUNT, REGION
from reconciler.facts import sources_prefix
from reconciler.render.batch.images import COMMANDS
from reconciler.version import VERSION
from tests.unit.cluster import documents

NAME, BUCKET = "packed", "packed-artifacts"
TABLES = {"specs": ["name"], "state": ["cluster", "row"]}
ARN = f"arn:aws:{{}}:{REGION}:{ACCOUNT}:{{}}"
RIGHTS = {
    "cloudformation:DescribeStacks": ARN.format("cloudformation", f"stack/{NAME}/*"),
    "dynamodb:BatchGetItem": ARN.format("dynamodb", f"table/{NAME}-*"),
    "dynamodb:PutItem": ARN.format("dynamodb", f"table/{NAME}-specs"),
    "s3:GetObject": f"arn:aws:s3:::{BUCKET}/clusters/*/sources/*",
    "s3:PutObject": f"arn:aws:s3:::{BUCKET}/clusters/*/sources/*",
}
OF_A_BUILD = {"s3:GetObject": f"arn:aws:s3:::{BUCKET}/{sources_prefix('jobs')}*", "logs:*": "*"}
TRUST = {"Effect": "Allow", "Principal": {"Service": "codebuild.amazonaws.com"}, "Action": "sts:AssumeRole"}


def policy(rights: dict[str, str]) -> str:
    statements = [{"Effect": "Allow", "Action": action, "Resource": on} for action, on in rights.items()]
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def table(name: str, keys: list[str]) -> dict[str, Any]:
    kinds = [{"AttributeName": key, "KeyType": kind} for key, kind in zip(keys, ("HASH", "RANGE"), strict=False)]
    return {
        "Type": "AWS::DynamoDB::Table",
        "Properties": {
            "TableName": f"{NAME}-{name}",
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [{"AttributeName": key, "AttributeType": "S"} for key in keys],
            "KeySchema": kinds,
        },
    }


@pytest.fixture(scope="module")
def env(running: Any, clients: Any, eventually: Callable[..., Any]) -> dict[str, str | None]:
    """The environment of a user with these rights and no others, beside a control plane's tables and bucket."""
    resources = {name.title(): table(name, keys) for name, keys in TABLES.items()}
    resources["Bucket"] = {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": BUCKET}}
    outputs = {"SpecsTable": f"{NAME}-specs", "StateTable": f"{NAME}-state", "ArtifactsBucket": BUCKET}
    outputs |= {"CleanupFunctionArn": "none", "Version": VERSION}
    template = {"Resources": resources, "Outputs": {name: {"Value": value} for name, value in outputs.items()}}
    stacks, iam = clients("cloudformation"), clients("iam")
    stacks.create_stack(StackName=NAME, TemplateBody=json.dumps(template))
    eventually(lambda: stacks.describe_stacks(StackName=NAME)["Stacks"][0]["StackStatus"] == "CREATE_COMPLETE")
    iam.create_user(UserName=NAME)
    made = iam.create_access_key(UserName=NAME)["AccessKey"]
    keys = {"AWS_ACCESS_KEY_ID": made["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": made["SecretAccessKey"]}
    return {**running.environ(), **keys, "AWS_SESSION_TOKEN": None, "MUSTER_STACK": NAME, "NO_COLOR": "1"}


@pytest.fixture
def apply(env: dict[str, str | None], clients: Any, tmp_path: Path) -> Callable[..., Any]:
    """`muster apply` of a cluster whose image is a directory, by the user, all of whose rights are there at first."""
    clients("iam").put_user_policy(UserName=NAME, PolicyName="apply", PolicyDocument=policy(RIGHTS))
    (tmp_path / "docker").mkdir()
    (tmp_path / "docker" / "Dockerfile").write_text("FROM scratch\nCOPY app /\n")
    (tmp_path / "docker" / "app").write_text("1")
    parts = documents.batch(images=[{"name": "app", "directory": "./docker"}])
    (tmp_path / "jobs.yaml").write_text(yaml.safe_dump(documents.document(parts, metadata={"name": "jobs"})))

    def run(code: int = 0) -> Any:
        result = CliRunner().invoke(app, ["apply", "-f", str(tmp_path / "jobs.yaml")], env=env)
        assert result.exit_code == code, f"{result.output}{result.exception!r}"
        return result

    return run


def test_a_user_with_these_rights_sends_once_and_applies(apply: Callable[..., Any], clients: Any) -> None:
    first, again = apply(), apply()
    assert (first.stdout, again.stdout) == ("cluster/jobs created\n", "cluster/jobs unchanged\n")
    assert "sent 2 files" in first.stderr
    assert again.stderr == ""
    item = clients("dynamodb").get_item(TableName=f"{NAME}-specs", Key={"name": {"S": "jobs"}})["Item"]
    (image,) = item["spec"]["M"]["batch"]["M"]["images"]["L"]
    address = image["M"]["archive"]["S"]
    assert address.startswith(f"s3://{BUCKET}/{sources_prefix('jobs')}")
    body = clients("s3").get_object(Bucket=BUCKET, Key=address.removeprefix(f"s3://{BUCKET}/"))["Body"].read()
    assert zipfile.ZipFile(BytesIO(body)).namelist() == ["Dockerfile", "app"]


def test_a_user_who_may_not_put_objects_writes_no_spec(apply: Callable[..., Any], clients: Any, tmp_path: Path) -> None:
    (tmp_path / "docker" / "app").write_text("another")
    rights = {action: on for action, on in RIGHTS.items() if not action.startswith("s3:")}
    clients("iam").put_user_policy(UserName=NAME, PolicyName="apply", PolicyDocument=policy(rights))
    before = clients("dynamodb").scan(TableName=f"{NAME}-specs")["Items"]
    assert "access denied: PutObject needs the right s3:PutObject" in apply(code=1).stderr
    assert clients("dynamodb").scan(TableName=f"{NAME}-specs")["Items"] == before


def test_the_archive_is_what_a_build_takes(
    apply: Callable[..., Any], aws: Any, clients: Any, eventually: Callable[..., Any], tmp_path: Path
) -> None:
    aws.set(builder_path=str(tmp_path), build_seconds=0)
    apply()
    (found,) = clients("s3").list_objects_v2(Bucket=BUCKET)["Contents"]
    iam, builds = clients("iam"), clients("codebuild")
    role = iam.create_role(RoleName=NAME, AssumeRolePolicyDocument=json.dumps({"Statement": [TRUST]}))["Role"]["Arn"]
    iam.put_role_policy(RoleName=NAME, PolicyName="build", PolicyDocument=policy(OF_A_BUILD))
    spec = {"version": 0.2, "phases": {"build": {"commands": COMMANDS["build"]}}}
    place = {"type": "LINUX_CONTAINER", "image": "aws/codebuild/standard:7.0", "computeType": "BUILD_GENERAL1_SMALL"}
    builds.create_project(
        name=NAME,
        source={"type": "NO_SOURCE", "buildspec": json.dumps(spec, indent=1)},
        artifacts={"type": "NO_ARTIFACTS"},
        environment=place,
        serviceRole=role,
    )
    started = builds.start_build(
        projectName=NAME, sourceTypeOverride="S3", sourceLocationOverride=f"{BUCKET}/{found['Key']}"
    )["build"]["id"]
    build = eventually(lambda: (one := builds.batch_get_builds(ids=[started])["builds"][0])["buildComplete"] and one)
    assert build["buildStatus"] == "SUCCEEDED", build["phases"]
