"""botocore, without what it works out anew for each client and each call, and what no emulator here looks at."""

from copy import deepcopy
from functools import cache, lru_cache
from typing import Any

from botocore import parsers, session, useragent
from botocore.hooks import EVENT_ALIASES, EventAliaser
from botocore.loaders import Loader
from botocore.signers import RequestSigner
from moto.core.models import botocore_stubber


def install() -> None:
    """For all tests of this process."""
    useragent.sanitize_user_agent_string_component = lru_cache(1000)(useragent.sanitize_user_agent_string_component)
    parsers.DEFAULT_TIMESTAMP_PARSER = lru_cache(10_000)(parsers.DEFAULT_TIMESTAMP_PARSER)
    session.create_loader = cache(session.create_loader)
    Loader.load_service_model = own_for_s3(Loader.load_service_model)
    EventAliaser._alias_event_name = aliased(EventAliaser._alias_event_name)
    RequestSigner.handler = signed(RequestSigner.handler)


def own_for_s3(load: Any) -> Any:
    """The descriptions of the services are read once. A client of S3 takes the bucket out of its paths, in its own."""

    def load_service_model(self: Loader, service_name: str, *rest: Any, **named: Any) -> Any:
        found = load(self, service_name, *rest, **named)
        return deepcopy(found) if service_name == "s3" else found

    return load_service_model


def aliased(alias: Any) -> Any:
    """The names of events are the same for all clients."""
    aliaser = EventAliaser(None)
    known = cache(lambda name: alias(aliaser, name))

    def alias_event_name(self: EventAliaser, name: str) -> str:
        return known(name) if self._event_aliases is EVENT_ALIASES else alias(self, name)

    return alias_event_name


def signed(sign: Any) -> Any:
    """A signature that moto takes: it reads who signed, and where, and does not reckon it after.

    What has no credentials, or goes to an AWS that is not in this process, is signed as ever; so are calls of S3,
    whose signer says how the body is encoded, too.
    """

    def handler(self: RequestSigner, operation_name: str | None = None, request: Any = None, **more: Any) -> Any:
        if not botocore_stubber.enabled or self._credentials is None or self.signing_name == "s3":
            return sign(self, operation_name, request, **more)
        scope = f"{self._credentials.access_key}/20270115/{self.region_name}/{self.signing_name}/aws4_request"
        request.headers["Authorization"] = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"
        return None

    return handler
