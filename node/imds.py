"""What an instance is told by EC2's metadata service, asked with a token and never through a proxy."""

from __future__ import annotations

import os
import time
import urllib.error
import urllib.request
from http import HTTPStatus

ADDRESS = "http://169.254.169.254"
# Seconds that a token lives, and that one answer may take.
LIFE, PATIENCE = 21600, 5


class ImdsError(Exception):
    """No answer, or not one of the service's."""


class Imds:
    """The metadata service. AWS's own variable for another address of it is heeded."""

    def __init__(self, address: str = "") -> None:
        self._address = (address or os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT") or ADDRESS).rstrip("/")
        self._open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open
        self._token, self._until = "", 0.0

    def find(self, path: str) -> str | None:
        """What is at a path under `latest/meta-data`; None if nothing is. Raises ImdsError."""
        headers = {"X-aws-ec2-metadata-token": self._fresh_token()}
        try:
            return self._ask(f"/latest/meta-data/{path}", "GET", headers)
        except urllib.error.HTTPError as error:
            if error.code == HTTPStatus.NOT_FOUND:
                return None
            # A token that is not taken is not kept.
            self._until = 0.0
            raise ImdsError(f"{path}: {error}") from error
        except OSError as error:
            raise ImdsError(f"{path}: {error}") from error

    def get(self, path: str) -> str:
        """What has to be there. Raises ImdsError."""
        found = self.find(path)
        if found is None:
            raise ImdsError(f"{path}: there is none")
        return found

    def _fresh_token(self) -> str:
        if time.monotonic() >= self._until:
            headers = {"X-aws-ec2-metadata-token-ttl-seconds": str(LIFE)}
            try:
                self._token = self._ask("/latest/api/token", "PUT", headers)
            except OSError as error:
                raise ImdsError(f"token: {error}") from error
            self._until = time.monotonic() + LIFE / 2
        return self._token

    def _ask(self, path: str, method: str, headers: dict[str, str]) -> str:
        request = urllib.request.Request(self._address + path, method=method, headers=headers)  # noqa: S310 - ours
        with self._open(request, timeout=PATIENCE) as answer:
            return answer.read().decode()
