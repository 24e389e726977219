"""Speak to MiniStack's services from inside its process, without the network and without signatures.

The caller's account and region (MiniStack keeps them in context variables) are those of the call. IAM is not
evaluated here: these are the calls that AWS's services make in their own name.
"""

import functools
import importlib
import io
from typing import Any, cast
from urllib.parse import parse_qs

import boto3
from botocore import UNSIGNED
from botocore.awsrequest import AWSResponse
from botocore.config import Config

_MODULES = {"ec2": "ec2", "autoscaling": "autoscaling", "elasticfilesystem": "efs"}


@functools.cache
def client(service: str) -> Any:
    """A boto3 client of `service` (EC2 or Auto Scaling) whose requests MiniStack's handlers answer at once."""
    made = boto3.client(
        cast("Any", service),
        region_name="us-east-1",
        endpoint_url="http://in.process",
        config=Config(signature_version=UNSIGNED, retries={"total_max_attempts": 1}),
    )
    actions = importlib.import_module(f"ministack.services.{_MODULES[service]}")
    made.meta.events.register("before-send", functools.partial(_answer, actions))
    return made


def _answer(module: Any, request: Any, **_: Any) -> AWSResponse:
    body = request.body.decode() if isinstance(request.body, bytes) else request.body
    parameters = parse_qs(body, keep_blank_values=True)
    module._ensure_defaults_initialized() if hasattr(module, "_ensure_defaults_initialized") else None
    status, headers, answer = module._ACTION_MAP[parameters["Action"][0]](parameters)
    return AWSResponse(request.url, status, headers, cast("Any", _Raw(answer)))


class _Raw(io.BytesIO):
    """The little of urllib3's response that botocore reads."""

    def stream(self, **_: Any) -> Any:
        yield self.read()
