"""What a stack's deletion would stumble over is emptied, and CloudFormation is answered once, whatever happens."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws
from moto.s3.models import s3_backends

import handlers.cleanup
from reconciler.cleanup import CleanupError, empty_prefix, empty_repository
from reconciler.custom_resource import LAST_RUN, REFUSED, Calls, serve

EVENTS = Path(__file__).parents[2] / "events"
ACCOUNT = "123456789012"
BUCKET = "muster-artifactsbucket-1abcdefghijkl"
REPOSITORY = "muster/demo"
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


def sample(name: str, **changes: Any) -> dict[str, Any]:
    return json.loads((EVENTS / f"{name}.json").read_text()) | changes


def always() -> float:
    return 60.0


def after(calls: int) -> Callable[[], float]:
    """Time that is up once it was asked for so many times."""
    left = iter([60.0] * calls)
    return lambda: next(left, 0.0)


@pytest.fixture
def s3() -> Iterator[Any]:
    with mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket=BUCKET)
        client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        yield client


@pytest.fixture
def ecr() -> Iterator[Any]:
    with mock_aws():
        client = boto3.client("ecr")
        client.create_repository(repositoryName=REPOSITORY)
        yield client


def versions(s3: Any, prefix: str = "") -> int:
    pages = s3.get_paginator("list_object_versions").paginate(Bucket=BUCKET, Prefix=prefix)
    return sum(len(page.get("Versions", [])) + len(page.get("DeleteMarkers", [])) for page in pages)


def fill(prefix: str, objects: int) -> None:
    """Two versions and a delete marker of each object, and one object that was never deleted.

    Put past moto's HTTP half, which is what takes the time.
    """
    backend = s3_backends[ACCOUNT]["aws"]
    for number in range(objects):
        for body in (b"1", b"2"):
            backend.put_object(BUCKET, f"{prefix}{number}", body)
        backend.delete_object(BUCKET, f"{prefix}{number}")
    backend.put_object(BUCKET, f"{prefix}kept", b"1")


def push(ecr: Any, images: int) -> None:
    """So many images, every third without a tag. moto would give some of them one digest if it had to make them."""
    for number in range(images):
        config = f"sha256:{number:064x}"
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": {"digest": config}}
        tag = {} if number % 3 == 0 else {"imageTag": f"v{number}"}
        ecr.put_image(repositoryName=REPOSITORY, imageManifest=json.dumps(manifest), imageDigest=config, **tag)


def images(ecr: Any) -> int:
    pages = ecr.get_paginator("list_images").paginate(repositoryName=REPOSITORY)
    return sum(len(page["imageIds"]) for page in pages)


# ------------------------------------------------------------------ S3


def test_all_versions_and_delete_markers_go_in_pages(s3: Any) -> None:
    fill("clusters/demo/", 1667)
    assert versions(s3) == 5002
    pages: list[str] = []
    s3.meta.events.register("before-call.s3.DeleteObjects", lambda **_: pages.append("page"))
    assert empty_prefix(s3, BUCKET, "clusters/demo/", always)
    assert versions(s3) == 0
    assert len(pages) == 6


def test_only_what_is_below_the_prefix_goes(s3: Any) -> None:
    fill("clusters/demo/", 2)
    fill("clusters/demo-2/", 2)
    assert empty_prefix(s3, BUCKET, "clusters/demo/", always)
    assert (versions(s3, "clusters/demo/"), versions(s3, "clusters/demo-2/")) == (0, 7)


def test_a_bucket_that_is_gone_or_empty_is_empty(s3: Any) -> None:
    assert empty_prefix(s3, BUCKET, "", always)
    assert empty_prefix(s3, "muster-no-such-bucket", "", always)


def test_a_bucket_that_goes_meanwhile_is_empty(s3: Any) -> None:
    fill("", 1)
    gone = ClientError({"Error": {"Code": "NoSuchBucket", "Message": ""}}, "DeleteObjects")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(s3, "delete_objects", lambda **_: raised(s3.exceptions.NoSuchBucket(gone.response, "x")))
        assert empty_prefix(s3, BUCKET, "", always)


def test_work_on_a_bucket_stops_when_the_time_is_up_and_goes_on_with_the_rest(s3: Any) -> None:
    fill("", 500)
    assert not empty_prefix(s3, BUCKET, "", after(1))
    assert versions(s3) == 501
    assert empty_prefix(s3, BUCKET, "", always)
    assert versions(s3) == 0


def failing(s3: Any, code: str) -> Any:
    """An S3 that deletes nothing, with this error for each key."""

    def delete_objects(Bucket: str, Delete: dict[str, Any]) -> dict[str, Any]:  # noqa: N803
        return {"Errors": [{**each, "Code": code, "Message": "no"} for each in Delete["Objects"]]}

    return SimpleNamespace(
        list_object_versions=s3.list_object_versions, delete_objects=delete_objects, exceptions=s3.exceptions
    )


def test_a_key_that_s3_will_not_delete_is_named(s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key="clusters/demo/locked", Body=b"1")
    with pytest.raises(CleanupError, match=rf"s3://{BUCKET}/clusters/demo/locked .* AccessDenied: no"):
        empty_prefix(failing(s3, "AccessDenied"), BUCKET, "", always)


def test_errors_that_may_pass_are_tried_again_but_not_for_ever(s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key="slow", Body=b"1")
    busy = failing(s3, "SlowDown")
    tries = iter([busy.delete_objects] * 3)

    def at_last(**call: Any) -> Any:
        return next(tries, s3.delete_objects)(**call)

    passing: Any = SimpleNamespace(**vars(busy) | {"delete_objects": at_last})
    assert empty_prefix(passing, BUCKET, "", always)
    s3.put_object(Bucket=BUCKET, Key="slow", Body=b"1")
    with pytest.raises(CleanupError, match="SlowDown"):
        empty_prefix(busy, BUCKET, "", always)


# ------------------------------------------------------------------ ECR


def test_all_images_go_those_without_a_tag_too(ecr: Any) -> None:
    push(ecr, 1500)
    assert images(ecr) == 1500
    sizes: list[int] = []
    ecr.meta.events.register(
        "before-parameter-build.ecr.BatchDeleteImage", lambda params, **_: sizes.append(len(params["imageIds"]))
    )
    assert empty_repository(ecr, REPOSITORY, always)
    assert images(ecr) == 0
    assert sizes == [100] * 15


def test_a_repository_that_is_gone_or_empty_is_empty(ecr: Any) -> None:
    assert empty_repository(ecr, REPOSITORY, always)
    assert empty_repository(ecr, "muster-none", always)


def test_work_on_a_repository_stops_when_the_time_is_up_and_goes_on_with_the_rest(ecr: Any) -> None:
    push(ecr, 250)
    assert not empty_repository(ecr, REPOSITORY, after(2))
    assert images(ecr) == 150
    assert empty_repository(ecr, REPOSITORY, always)


class FakeEcr:
    """A repository of manifest lists: an image cannot go before the list that holds it. Pages are short."""

    def __init__(self, holders: dict[str, str], failures: dict[str, str] | None = None) -> None:
        self.holders, self.failures, self.there = holders, failures or {}, list(holders)
        self.exceptions = SimpleNamespace(RepositoryNotFoundException=KeyError)

    def get_paginator(self, _: str) -> Any:
        ids = [{"imageDigest": digest, "imageTag": tag} for digest in self.there for tag in "ab"]
        pages = [{"imageIds": ids[start : start + 30]} for start in range(0, max(len(ids), 1), 30)]
        return SimpleNamespace(paginate=lambda **_: iter(pages))

    def batch_delete_image(self, repositoryName: str, imageIds: list[dict[str, str]]) -> Any:  # noqa: N803
        assert len(imageIds) <= 100
        failures: list[dict[str, Any]] = []
        for each in imageIds:
            digest = each["imageDigest"]
            held = "ImageReferencedByManifestList" if self.holders[digest] in self.there else None
            if code := self.failures.get(digest, held):
                failures.append({"imageId": each, "failureCode": code, "failureReason": "no"})
            else:
                self.there.remove(digest)
        return {"failures": failures}


def test_images_go_after_the_manifest_lists_that_hold_them() -> None:
    fake: Any = FakeEcr({"arm": "list", "amd": "list", "list": "index", "index": ""})
    assert empty_repository(fake, REPOSITORY, always)
    assert fake.there == []


def test_as_many_lists_as_there_may_be_go_before_their_images() -> None:
    """The images of each list are listed first, a page or more before it."""
    lists = range(500)
    holders = {f"{kind}-{number}": f"list-{number}" for kind in ("arm", "amd") for number in lists}
    fake: Any = FakeEcr({**holders, **{f"list-{number}": "" for number in lists}})
    assert len(fake.there) == 1500
    assert empty_repository(fake, REPOSITORY, always)
    assert fake.there == []


def test_images_that_hold_each_other_end_the_work() -> None:
    fake: Any = FakeEcr({"a": "b", "b": "a"})
    with pytest.raises(CleanupError, match=r"image a of muster/demo .* ImageReferencedByManifestList: no"):
        empty_repository(fake, REPOSITORY, always)


def test_an_image_that_ecr_will_not_delete_is_named() -> None:
    fake: Any = FakeEcr({"a": "", "b": ""}, failures={"b": "KmsError"})
    with pytest.raises(CleanupError, match=r"image b of muster/demo .* KmsError: no"):
        empty_repository(fake, REPOSITORY, always)


def test_an_image_that_is_gone_already_is_no_failure() -> None:
    fake: Any = FakeEcr({"a": ""})
    answers = iter([{"failures": [{"imageId": {}, "failureCode": "ImageNotFound"}]}])
    real = fake.batch_delete_image
    fake.batch_delete_image = lambda **call: next(answers, None) or real(**call)
    assert empty_repository(fake, REPOSITORY, always)


# ------------------------------------------------------------------ CloudFormation


def raised(error: Exception) -> Any:
    raise error


class Cloud:
    """What a run may call, and what it called: `answers` as (URL, body), `runs` as further events."""

    def __init__(self) -> None:
        self.answers: list[tuple[str, dict[str, Any]]] = []
        self.runs: list[dict[str, Any]] = []
        self.emptied: list[Any] = []
        self.calls = Calls(
            answer=lambda url, body: self.answers.append((url, json.loads(body))),
            again=lambda payload: self.runs.append(json.loads(payload)),
        )

    def serve(self, event: dict[str, Any], empty: Callable[[], bool] = lambda: True) -> dict[str, Any]:
        """Serve one request; returns the answer, {} if there was none."""
        kinds = {
            name: lambda properties: target(properties, empty) for name in ("Custom::S3Cleanup", "Custom::EcrCleanup")
        }

        def target(properties: Any, empty: Callable[[], bool]) -> Callable[[Callable[[], float]], bool]:
            if "broken" in properties:
                raise CleanupError("broken: is not right")

            def work(_: Callable[[], float]) -> bool:
                self.emptied.append(properties)
                return empty()

            return work

        before = len(self.answers)
        serve(event, kinds, always, self.calls)
        assert len(self.answers) - before <= 1
        return self.answers[-1][1] if len(self.answers) > before else {}


@pytest.fixture
def cloud() -> Cloud:
    return Cloud()


@pytest.mark.parametrize("kind", ["s3", "ecr"])
@pytest.mark.parametrize("request_type", ["create", "update", "delete"])
def test_every_sample_request_is_answered_and_only_delete_empties(cloud: Cloud, kind: str, request_type: str) -> None:
    event = sample(f"{kind}-cleanup-{request_type}")
    answer = cloud.serve(event)
    assert cloud.answers[0][0] == event["ResponseURL"]
    assert answer == {
        "Status": "SUCCESS",
        "PhysicalResourceId": sample(f"{kind}-cleanup-delete")["PhysicalResourceId"],
        **{key: event[key] for key in ("StackId", "RequestId", "LogicalResourceId")},
    }
    assert len(cloud.emptied) == (request_type == "delete")


def test_the_physical_id_is_kept_whatever_made_it(cloud: Cloud) -> None:
    for request_type in ("update", "delete"):
        event = sample(f"s3-cleanup-{request_type}", PhysicalResourceId="from-an-older-version")
        assert cloud.serve(event)["PhysicalResourceId"] == "from-an-older-version"


def test_the_physical_id_is_another_in_another_stack_or_under_another_name(cloud: Cloud) -> None:
    events = [
        sample("s3-cleanup-create"),
        sample("s3-cleanup-create", StackId="arn:aws:cloudformation:us-east-1:1:stack/muster-b/2"),
        sample("s3-cleanup-create", LogicalResourceId="Other"),
    ]
    assert len({cloud.serve(event)["PhysicalResourceId"] for event in events}) == 3


def test_what_is_not_done_goes_on_unanswered_until_it_is(cloud: Cloud) -> None:
    event = sample("s3-cleanup-delete")
    assert cloud.serve(event, lambda: False) == {}
    assert cloud.runs == [event | {"Run": 2}]
    assert cloud.serve(cloud.runs[0], lambda: False) == {}
    assert cloud.runs[1] == event | {"Run": 3}
    assert cloud.serve(cloud.runs[1])["Status"] == "SUCCESS"
    assert len(cloud.answers) == 1


def test_what_is_never_done_is_given_up_and_answered(cloud: Cloud) -> None:
    answer = cloud.serve(sample("s3-cleanup-delete", Run=LAST_RUN), lambda: False)
    assert answer["Status"] == "FAILED"
    assert "not empty" in answer["Reason"]
    assert cloud.runs == []


def test_a_run_that_cannot_go_on_answers(cloud: Cloud) -> None:
    cloud.calls = Calls(cloud.calls.answer, lambda _: raised(RuntimeError("throttled")))
    answer = cloud.serve(sample("s3-cleanup-delete"), lambda: False)
    assert (answer["Status"], answer["Reason"]) == ("FAILED", "RuntimeError: throttled")


def test_any_error_is_answered_with_its_reason_and_the_same_id(cloud: Cloud) -> None:
    answer = cloud.serve(sample("s3-cleanup-delete"), lambda: raised(RuntimeError("x" * 5000)))
    assert answer["Status"] == "FAILED"
    assert answer["Reason"].startswith("RuntimeError: xxx")
    assert len(answer["Reason"]) == 1000
    assert answer["PhysicalResourceId"] == sample("s3-cleanup-delete")["PhysicalResourceId"]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"RequestType": "Rename"}, "Rename"),
        ({"ResourceType": "Custom::Other"}, "Custom::Other"),
        ({"ResourceProperties": {"broken": True}}, "broken"),
        ({"ResourceProperties": None}, "TypeError"),
    ],
)
def test_a_request_that_is_not_understood_fails_and_empties_nothing(
    cloud: Cloud, changes: dict[str, Any], named: str
) -> None:
    for request_type in ("create", "update", "delete"):
        answer = cloud.serve(sample(f"s3-cleanup-{request_type}") | changes)
        assert answer["Status"] == "FAILED"
        assert named in answer["Reason"]
    assert cloud.emptied == []


def test_the_roll_back_of_a_refused_create_succeeds(cloud: Cloud) -> None:
    properties = {"ResourceProperties": {"broken": True}}
    refused = cloud.serve(sample("s3-cleanup-create") | properties)
    assert refused["PhysicalResourceId"] == REFUSED
    event = sample("s3-cleanup-delete", PhysicalResourceId=REFUSED) | properties
    assert cloud.serve(event)["Status"] == "SUCCESS"
    assert cloud.emptied == []


def test_an_answer_that_cannot_be_given_is_raised_so_that_lambda_tries_again(cloud: Cloud) -> None:
    cloud.calls = Calls(lambda *_: raised(OSError("refused")), cloud.calls.again)
    with pytest.raises(OSError, match="refused"):
        cloud.serve(sample("s3-cleanup-delete"))


def test_the_url_that_anybody_could_answer_to_is_not_logged(cloud: Cloud, caplog: pytest.LogCaptureFixture) -> None:
    cloud.serve(sample("s3-cleanup-delete"), lambda: raised(RuntimeError("x")))
    cloud.serve(sample("s3-cleanup-delete"), lambda: False)
    logged = str([vars(record) for record in caplog.records])
    assert "RuntimeError" in logged
    assert "cloudformation-custom-resource-response" not in logged


# ------------------------------------------------------------------ the function


class Answers(BaseHTTPRequestHandler):
    """CloudFormation's end of the presigned URL: fails as often as it is told to, then takes what it is given."""

    statuses: ClassVar[list[int]] = []
    taken: ClassVar[list[tuple[str | None, dict[str, Any]]]] = []

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status = self.statuses.pop(0) if self.statuses else 200
        if status == 200:
            self.taken.append((self.headers["Content-Type"], json.loads(body)))
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(Answers, "statuses", [])
    monkeypatch.setattr(Answers, "taken", [])
    monkeypatch.setattr(handlers.cleanup, "BACKOFF", 0)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/answer"
    server.shutdown()
    thread.join()
    server.server_close()


class Context(SimpleNamespace):
    function_name = "cleanup"
    memory_limit_in_mb = 256
    invoked_function_arn = "arn:aws:lambda:us-east-1:123456789012:function:cleanup"
    aws_request_id = "request"

    def __init__(self, *seconds: float) -> None:
        super().__init__(seconds=list(seconds))

    def get_remaining_time_in_millis(self) -> int:
        return int(1000 * (self.seconds.pop(0) if len(self.seconds) > 1 else self.seconds[0]))


@pytest.fixture
def clients(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """The function's clients of moto, and of a Lambda that keeps what it is asked to invoke."""
    with mock_aws():
        invoked: list[dict[str, Any]] = []
        made: dict[str, Any] = {
            "s3": boto3.client("s3"),
            "ecr": boto3.client("ecr"),
            "lambda": SimpleNamespace(invoke=lambda **call: invoked.append(call)),
        }
        monkeypatch.setattr(handlers.cleanup, "_client", made.__getitem__)
        yield made | {"invoked": invoked}


def test_a_prefix_is_emptied_over_two_invocations_with_one_answer(clients: dict[str, Any], url: str) -> None:
    s3 = clients["s3"]
    s3.create_bucket(Bucket=BUCKET)
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    fill("clusters/demo/", 500)
    handlers.cleanup.handler(sample("s3-cleanup-delete", ResponseURL=url), Context(900, handlers.cleanup.RESERVE))
    [call] = clients["invoked"]
    assert (call["FunctionName"], call["InvocationType"]) == (Context.invoked_function_arn, "Event")
    assert (versions(s3), Answers.taken) == (501, [])
    handlers.cleanup.handler(json.loads(call["Payload"]), Context(900))
    assert versions(s3) == 0
    [(content_type, answer)] = Answers.taken
    assert not content_type
    assert answer["Status"] == "SUCCESS"


def test_a_repository_is_emptied_over_two_invocations_with_one_answer(clients: dict[str, Any], url: str) -> None:
    clients["ecr"].create_repository(repositoryName=REPOSITORY)
    push(clients["ecr"], 250)
    left = Context(900, 900, handlers.cleanup.RESERVE)
    handlers.cleanup.handler(sample("ecr-cleanup-delete", ResponseURL=url), left)
    [call] = clients["invoked"]
    assert (images(clients["ecr"]), Answers.taken) == (150, [])
    handlers.cleanup.handler(json.loads(call["Payload"]), Context(900))
    assert images(clients["ecr"]) == 0
    assert [answer["Status"] for _, answer in Answers.taken] == ["SUCCESS"]
    assert len(clients["invoked"]) == 1


@pytest.mark.parametrize(("kind", "operation"), [("s3", "DeleteObjects"), ("ecr", "BatchDeleteImage")])
def test_a_run_that_is_killed_in_the_middle_is_done_by_the_same_event_again(
    clients: dict[str, Any], url: str, kind: str, operation: str
) -> None:
    """Lambda gives the event again to a function that it had to stop."""
    api = clients[kind]
    if kind == "s3":
        api.create_bucket(Bucket=BUCKET)
        api.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        fill("clusters/demo/", 400)
    else:
        api.create_repository(repositoryName=REPOSITORY)
        push(api, 150)
    there = {"s3": lambda: versions(api), "ecr": lambda: images(api)}[kind]
    before, calls = there(), iter([None, SystemExit("killed")])
    api.meta.events.register(
        f"before-call.{kind}.{operation}", lambda **_: (error := next(calls, None)) and raised(error)
    )
    event = sample(f"{kind}-cleanup-delete", ResponseURL=url)
    with pytest.raises(SystemExit):
        handlers.cleanup.handler(event, Context(900))
    assert 0 < there() < before
    assert Answers.taken == []
    handlers.cleanup.handler(event, Context(900))
    assert there() == 0
    assert [answer["Status"] for _, answer in Answers.taken] == ["SUCCESS"]


@pytest.mark.parametrize("kind", ["s3", "ecr"])
def test_a_bucket_or_repository_that_is_gone_already_is_answered_as_emptied(
    clients: dict[str, Any], url: str, kind: str
) -> None:
    event = sample(f"{kind}-cleanup-delete", ResponseURL=url)
    handlers.cleanup.handler(event, Context(900))
    [(_, answer)] = Answers.taken
    assert (answer["Status"], answer["PhysicalResourceId"]) == ("SUCCESS", event["PhysicalResourceId"])
    assert clients["invoked"] == []


def test_an_update_to_another_bucket_empties_neither(clients: dict[str, Any], url: str) -> None:
    s3 = clients["s3"]
    event = sample("s3-cleanup-update", ResponseURL=url)
    event["ResourceProperties"] |= {"Bucket": "muster-another"}
    for bucket in (BUCKET, "muster-another"):
        s3.create_bucket(Bucket=bucket)
        s3.put_object(Bucket=bucket, Key="clusters/demo/nodes/x", Body=b"1")
    handlers.cleanup.handler(event, Context(900))
    assert all(s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 1 for bucket in (BUCKET, "muster-another"))
    [(_, answer)] = Answers.taken
    assert (answer["Status"], answer["PhysicalResourceId"]) == ("SUCCESS", event["PhysicalResourceId"])


@pytest.mark.parametrize(
    ("kind", "properties", "field"),
    [
        ("s3", {}, "Bucket"),
        ("s3", {"Bucket": BUCKET}, "Prefix"),
        ("s3", {"Bucket": BUCKET, "Prefix": ""}, "Prefix"),
        ("s3", {"Bucket": BUCKET, "Prefix": "", "WholeBucket": "false"}, "Prefix"),
        ("s3", {"Bucket": BUCKET, "Prefix": "clusters/demo/", "WholeBucket": "true"}, "Prefix"),
        ("ecr", {"RepositoryName": ""}, "RepositoryName"),
    ],
)
def test_properties_that_name_nothing_are_refused_when_the_stack_is_made(
    clients: dict[str, Any], url: str, kind: str, properties: dict[str, str], field: str
) -> None:
    handlers.cleanup.handler(
        sample(f"{kind}-cleanup-create", ResponseURL=url, ResourceProperties=properties), Context(900)
    )
    [(_, answer)] = Answers.taken
    assert answer["Status"] == "FAILED"
    assert f"{field}:" in answer["Reason"]


def test_a_whole_bucket_is_emptied_when_that_is_said(clients: dict[str, Any], url: str) -> None:
    s3 = clients["s3"]
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key="x", Body=b"1")
    properties = {"Bucket": BUCKET, "WholeBucket": "true"}
    event = sample("s3-cleanup-delete", ResponseURL=url, ResourceProperties=properties)
    handlers.cleanup.handler(event, Context(900))
    assert s3.list_objects_v2(Bucket=BUCKET)["KeyCount"] == 0


def test_an_answer_is_repeated_while_cloudformation_is_out_of_order(clients: dict[str, Any], url: str) -> None:
    Answers.statuses[:] = [500, 503, 502]
    handlers.cleanup.handler(sample("s3-cleanup-create", ResponseURL=url), Context(900))
    assert [answer["Status"] for _, answer in Answers.taken] == ["SUCCESS"]


def test_an_answer_that_is_refused_is_raised(clients: dict[str, Any], url: str) -> None:
    Answers.statuses[:] = [403]
    with pytest.raises(OSError, match="HTTP 403"):
        handlers.cleanup.handler(sample("s3-cleanup-create", ResponseURL=url), Context(900))
    assert Answers.taken == []


def test_the_clients_of_the_function_give_up_well_before_its_reserve_is_used_up() -> None:
    config = handlers.cleanup._client("s3").meta.config  # pyright: ignore[reportPrivateUsage]
    seconds = config.retries["total_max_attempts"] * (config.connect_timeout + config.read_timeout)
    assert seconds < handlers.cleanup.RESERVE


# ------------------------------------------------------------------ defects of AWS ParallelCluster's clean-up

# Of its function manage_docker_images, as its code was read: (a) and (d) are the clean-up's. (b) and (c) are about how
# its stack waits for a build, which no stack does here.


class CloudFormation:
    """One resource of a stack, as CloudFormation treats it: an id that an update changes has the old one deleted."""

    def __init__(self, kind: str, url: str, **properties: str) -> None:
        self.kind, self.url, self.properties = kind, url, properties
        self.id = ""
        self.request("create")

    def request(self, name: str, **changes: Any) -> dict[str, Any]:
        event = sample(f"{self.kind}-cleanup-{name}", ResponseURL=self.url, ResourceProperties=self.properties)
        event |= {"PhysicalResourceId": self.id} if self.id else {}
        handlers.cleanup.handler(event | changes, Context(*[900] * 50, handlers.cleanup.RESERVE))
        answer = Answers.taken[-1][1]
        self.id = self.id or answer["PhysicalResourceId"]
        return answer

    def update(self, **properties: str) -> None:
        old, self.properties = self.properties, {**self.properties, **properties}
        answer = self.request("update", OldResourceProperties=old)
        assert answer["Status"] == "SUCCESS"
        if answer["PhysicalResourceId"] != self.id:
            self.request("delete", ResourceProperties=old)
            self.id = answer["PhysicalResourceId"]


def test_parallelcluster_defect_a_an_update_keeps_the_physical_id_so_the_images_stay(
    clients: dict[str, Any], url: str
) -> None:
    for name in (REPOSITORY, "muster-another"):
        clients["ecr"].create_repository(repositoryName=name)
    push(clients["ecr"], 3)
    resource = CloudFormation("ecr", url, RepositoryName=REPOSITORY)
    before = resource.id
    resource.update(Content="2")
    resource.update(RepositoryName="muster-another")
    resource.update(RepositoryName=REPOSITORY)
    assert resource.id == before
    assert images(clients["ecr"]) == 3
    assert resource.request("delete")["Status"] == "SUCCESS"
    assert images(clients["ecr"]) == 0


def test_parallelcluster_defect_a_an_update_keeps_the_physical_id_so_the_files_stay(
    clients: dict[str, Any], url: str
) -> None:
    clients["s3"].create_bucket(Bucket=BUCKET)
    fill("clusters/demo/", 2)
    before = versions(clients["s3"])
    resource = CloudFormation("s3", url, Bucket=BUCKET, Prefix="clusters/demo/")
    resource.update(Prefix="clusters/demo/jobs/")
    resource.update(Prefix="clusters/demo/")
    assert versions(clients["s3"]) == before


def test_parallelcluster_defect_d_a_repository_that_is_not_found_is_no_failure(
    clients: dict[str, Any], url: str
) -> None:
    clients["ecr"].create_repository(repositoryName=REPOSITORY)
    resource = CloudFormation("ecr", url, RepositoryName=REPOSITORY)
    clients["ecr"].delete_repository(repositoryName=REPOSITORY)
    assert resource.request("delete")["Status"] == "SUCCESS"


def test_parallelcluster_defect_d_a_repository_that_goes_meanwhile_is_no_failure(
    clients: dict[str, Any], url: str
) -> None:
    ecr = clients["ecr"]
    ecr.create_repository(repositoryName=REPOSITORY)
    push(ecr, 3)
    by_hand = boto3.client("ecr")

    def go(**_: object) -> None:
        by_hand.delete_repository(repositoryName=REPOSITORY, force=True)

    ecr.meta.events.register("before-call.ecr.BatchDeleteImage", go)
    resource = CloudFormation("ecr", url, RepositoryName=REPOSITORY)
    assert resource.request("delete")["Status"] == "SUCCESS"


def test_parallelcluster_defect_d_the_failure_of_one_image_is_read_and_told(clients: dict[str, Any], url: str) -> None:
    """The call as a whole succeeds, so only its list of failures says that an image is still there."""
    fake = FakeEcr({"a": "", "b": "", "c": ""}, failures={"b": "KmsError"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(handlers.cleanup, "_client", {"ecr": fake}.__getitem__)
        answer = CloudFormation("ecr", url, RepositoryName=REPOSITORY).request("delete")
    assert fake.there == ["b"]
    assert answer["Status"] == "FAILED"
    assert f"image b of {REPOSITORY} was not deleted: KmsError: no" in answer["Reason"]
