"""The metadata service of an instance that is a machine: version 2, at 169.254.169.254 of the machine's own network.

What a test says of its future (`settings.notices`) is told where EC2 tells it. Source: EC2 User Guide (instance
metadata categories, Spot instance interruption notices, rebalance recommendations, scheduled events).
"""

import asyncio
import base64
import json
import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

from ministack.core.responses import get_account_id, get_region, request_scope

from local.additions import sessions
from local.additions.access import DeniedError
from local.additions.emulator import ec2, iam
from local.additions.settings import settings

Instance = dict[str, Any]
Tree = dict[str, Any]
SESSION_PATH = "/latest/api/token"
SESSION_HEADER = "x-aws-ec2-metadata-token"
LIFETIME_HEADER = "x-aws-ec2-metadata-token-ttl-seconds"
MAX_TTL = 21600
ISO = "%Y-%m-%dT%H:%M:%SZ"
CREDENTIAL_HOURS = 6
WAIT_SECONDS = 60.0


class Metadata:
    """What one instance is told of itself. Made within the request that launches it."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._scope = get_account_id(), get_region()
        self._tokens: dict[str, float] = {}
        self._credentials: dict[str, Any] | None = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request, one answer."""
        head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), WAIT_SECONDS)).decode("latin-1")
        request, *lines = head.split("\r\n")
        method, path, _ = request.split(" ", 2)
        pairs = (line.partition(":")[::2] for line in lines)
        headers = {name.strip().lower(): value.strip() for name, value in pairs if name}
        with request_scope(*self._scope):
            status, body = self.answer(method, path, headers)
        phrase = HTTPStatus(status).phrase
        writer.write(
            f"HTTP/1.1 {status} {phrase}\r\nServer: EC2ws\r\nContent-Type: text/plain\r\nConnection: close\r\n"
            f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        await writer.drain()

    def answer(self, method: str, path: str, headers: dict[str, str]) -> tuple[int, bytes]:
        """Status and body."""
        path = path.partition("?")[0]
        if path == SESSION_PATH:
            return self._token(headers) if method == "PUT" else (405, b"")
        if method != "GET":
            return 405, b""
        if self._tokens.get(headers.get(SESSION_HEADER, ""), 0) < time.monotonic():
            return 401, b""
        found: Any = self._tree()
        for step in filter(None, path.split("/")):
            found = found.get(step) if isinstance(found, dict) else None
            found = found() if callable(found) else found
        if found is None:
            return 404, b""
        return 200, _listed(found).encode() if isinstance(found, dict) else str(found).encode()

    def _token(self, headers: dict[str, str]) -> tuple[int, bytes]:
        ttl = headers.get(LIFETIME_HEADER, "")
        if not ttl.isdecimal() or not 1 <= int(ttl) <= MAX_TTL or "x-forwarded-for" in headers:
            return 400, b""
        token = secrets.token_urlsafe(40)
        self._tokens[token] = time.monotonic() + int(ttl)
        return 200, token.encode()

    # --- what there is

    def _tree(self) -> Tree:
        """Directories, values, and functions of what is made when it is asked for; None is not there."""
        dynamic = {"instance-identity": {"document": lambda: json.dumps(self._identity())}}
        return {
            "latest": {
                "meta-data": self._meta_data(),
                "dynamic": dynamic,
                "user-data": lambda: user_data(self._instance),
            }
        }

    def _meta_data(self) -> Tree:
        instance = self._instance
        told = {name: (lambda name=name: self._notice(name)) for name in ("spot", "rebalance", "maintenance")}
        return {
            "ami-id": instance["ImageId"],
            "block-device-mapping": {"ami": "xvda", "root": "/dev/xvda"},
            "events": {
                "maintenance": {"scheduled": told["maintenance"]},
                "recommendations": {"rebalance": told["rebalance"]},
            },
            "hostname": instance["PrivateDnsName"],
            "iam": self._iam,
            "instance-id": instance["InstanceId"],
            "instance-life-cycle": instance.get("InstanceLifecycle") or "on-demand",
            "instance-type": instance["InstanceType"],
            "local-hostname": instance["PrivateDnsName"],
            "local-ipv4": instance["PrivateIpAddress"],
            "mac": mac(instance),
            "network": {"interfaces": {"macs": {mac(instance): self._interface()}}},
            "placement": {
                "availability-zone": instance["Placement"]["AvailabilityZone"],
                "region": get_region(),
            },
            "security-groups": "\n".join(group["GroupName"] for group in instance["SecurityGroups"]),
            "services": {"domain": "amazonaws.com", "partition": "aws"},
            "spot": {"instance-action": told["spot"]},
        }

    def _interface(self) -> Tree:
        subnet = ec2._subnets.get(self._instance["SubnetId"], {})
        return {
            "device-number": "0",
            "local-ipv4s": self._instance["PrivateIpAddress"],
            "subnet-id": self._instance["SubnetId"],
            "subnet-ipv4-cidr-block": subnet.get("CidrBlock"),
            "vpc-id": self._instance["VpcId"],
            "vpc-ipv4-cidr-block": vpc_network(self._instance),
            "vpc-ipv4-cidr-blocks": vpc_network(self._instance),
        }

    def _identity(self) -> dict[str, Any]:
        return {
            "accountId": get_account_id(),
            "architecture": self._instance["Architecture"],
            "availabilityZone": self._instance["Placement"]["AvailabilityZone"],
            "imageId": self._instance["ImageId"],
            "instanceId": self._instance["InstanceId"],
            "instanceType": self._instance["InstanceType"],
            "privateIp": self._instance["PrivateIpAddress"],
            "region": get_region(),
        }

    def _notice(self, kind: str) -> str | None:
        given = settings.notices.get(self._instance["InstanceId"], {}).get(kind)
        if given is None:
            return "[]" if kind == "maintenance" else None
        return json.dumps(_NOTICES[kind](given))

    # --- the role

    def _iam(self) -> Tree | None:
        profile = self._profile()
        if not profile or not profile["Roles"]:
            return None
        info = {
            "Code": "Success",
            "InstanceProfileArn": profile["Arn"],
            "InstanceProfileId": profile["InstanceProfileId"],
        }
        name = profile["Roles"][0].rpartition("/")[2]
        return {"info": json.dumps(info), "security-credentials": {name: lambda: self._credentials_of(name)}}

    def _profile(self) -> dict[str, Any] | None:
        wanted = self._instance.get("IamInstanceProfile")
        return iam._lookup_instance_profile(arn=wanted["Arn"]) if wanted else None

    def _credentials_of(self, name: str) -> str:
        """The same until an hour before they end; who asks gets new ones then."""
        now = datetime.now(UTC)
        if not self._credentials or datetime.fromisoformat(self._credentials["Expiration"]) < now + timedelta(hours=1):
            try:
                keys = sessions.assumed(iam._roles[name]["Arn"], "ec2.amazonaws.com", self._instance["InstanceId"])
            except (KeyError, DeniedError):
                return json.dumps(
                    {"Code": "AssumeRoleUnauthorizedAccess", "Message": f"EC2 cannot assume the role {name}."}
                )
            self._credentials = {
                "Code": "Success",
                "LastUpdated": now.strftime(ISO),
                "Type": "AWS-HMAC",
                "AccessKeyId": keys["AWS_ACCESS_KEY_ID"],
                "SecretAccessKey": keys["AWS_SECRET_ACCESS_KEY"],
                "Token": keys["AWS_SESSION_TOKEN"],
                "Expiration": (now + timedelta(hours=CREDENTIAL_HOURS)).strftime(ISO),
            }
        return json.dumps(self._credentials)


def _listed(directory: Tree) -> str:
    """A directory's entries, those that are directories themselves with a slash."""
    shown = {name: entry() if callable(entry) else entry for name, entry in directory.items()}
    return "\n".join(
        f"{name}/" if isinstance(entry, dict) else name for name, entry in shown.items() if entry is not None
    )


def user_data(instance: Instance) -> str | None:
    """As text, None if there is none."""
    return base64.b64decode(instance["UserData"]).decode() if instance.get("UserData") else None


def mac(instance: Instance) -> str:
    """The address of its interface, made of its id."""
    return ":".join(["0a", *(instance["InstanceId"][-10:][at : at + 2] for at in range(0, 10, 2))])


def vpc_network(instance: Instance) -> str:
    """Its VPC's addresses."""
    return ec2._vpcs[instance["VpcId"]]["CidrBlock"]


def _in(**span: float) -> datetime:
    return datetime.now(UTC) + timedelta(**span)


def _scheduled(given: Any) -> list[dict[str, Any]]:
    shape = "%d %b %Y %H:%M:%S GMT"
    usual = {
        "NotBefore": _in(hours=1).strftime(shape),
        "Code": "system-reboot",
        "Description": "scheduled reboot",
        "EventId": "instance-event-0d59937288b749b32",
        "NotAfter": _in(hours=2).strftime(shape),
        "State": "active",
    }
    return [usual | each for each in (given if isinstance(given, list) else [given])]


# kind of notice: what EC2 says, of which a test may say parts
_NOTICES: dict[str, Callable[[Any], Any]] = {
    "spot": lambda given: {"action": "terminate", "time": _in(minutes=2).strftime(ISO)} | given,
    "rebalance": lambda given: {"noticeTime": _in().strftime(ISO)} | given,
    "maintenance": _scheduled,
}
