"""The environment of a process that an AWS service runs in a role's name: its credentials and where AWS is."""

import json
import os
import secrets
from typing import Any

from ministack.core.responses import get_account_id, get_region

from local.additions.access import DeniedError
from local.additions.emulator import iam, iam_evaluator, sts


def plain() -> dict[str, str]:
    """What leads every AWS client to this emulator, without credentials."""
    region = get_region()
    return {
        "AWS_ENDPOINT_URL": f"http://{os.environ['MINISTACK_HOST']}:{os.environ['GATEWAY_PORT']}",
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }


def assumed(role_arn: str, service: str, session: str) -> dict[str, str]:
    """The same with credentials of the role, which `service` (``ecs-tasks.amazonaws.com``) assumes for `session`.

    What is called with them is evaluated by IAM. Raises `DeniedError` if there is no such role or it does not trust
    the service.
    """
    check_trust(role_arn, service)
    name = role_arn.rpartition("/")[2]
    key, secret, token = f"ASIA{secrets.token_hex(8).upper()}", secrets.token_hex(20), secrets.token_hex(32)
    arn = f"arn:aws:sts::{get_account_id()}:assumed-role/{name}/{session}"
    user_id = f"{iam._roles[name].get('RoleId')}:{session}"
    sts.register_session(key, {"Arn": arn, "UserId": user_id, "SecretAccessKey": secret, "SessionToken": token})
    return plain() | {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret, "AWS_SESSION_TOKEN": token}


def check_trust(role_arn: str, service: str) -> None:
    """Raise `DeniedError` unless there is such a role and it trusts the service."""
    role = iam._roles.get(role_arn.rpartition("/")[2])
    if role is None or not _trusts(role, service):
        raise DeniedError(f"{service} is not authorized to perform: sts:AssumeRole on {role_arn}")


def _trusts(role: dict[str, Any], service: str) -> bool:
    document = role.get("AssumeRolePolicyDocument") or "{}"
    statements = (json.loads(document) if isinstance(document, str) else document).get("Statement", [])
    context = iam_evaluator.EvalContext(
        principal_arn=service,
        principal_type="Service",
        principal_account=get_account_id(),
        action="sts:AssumeRole",
        resource_arn=role.get("Arn", ""),
        region=get_region(),
        service_context={"aws:sourceaccount": get_account_id()},
    )
    return any(
        statement["Effect"] == "Allow"
        and iam_evaluator._service_principal_matches(statement.get("Principal"), service)
        and iam_evaluator._conditions_met(statement.get("Condition", {}), context)
        for statement in (statements if isinstance(statements, list) else [statements])
    )
