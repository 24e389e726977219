"""`directory`: packed and sent by `muster apply`, shown by `muster diff`, and unknown to everything else."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from cli.packing import source
from reconciler.cluster import Invalid, parse
from tests.unit.cli.conftest import OUTPUTS, World, client
from tests.unit.cluster import documents

BUCKET = OUTPUTS["ArtifactsBucket"]


class Folder:
    """A folder with the file of a cluster, and one with a Dockerfile beside it."""

    def __init__(self, path: Path, world: World) -> None:
        self.path, self.docker, self.world = path, path / "docker", world
        self.file = path / "jobs.yaml"
        self.docker.mkdir()
        (self.docker / "Dockerfile").write_text("FROM scratch\nCOPY app /\n")
        (self.docker / "app").write_text("1")
        client("s3").create_bucket(Bucket=BUCKET)

    def write(self, *images: dict[str, Any], name: str = "jobs") -> str:
        """The file, whose job definition runs the first image."""
        first = images[0].get("name", "app")
        parts = documents.batch(images=list(images), jobDefinitions=[{"name": "run", "image": first}])
        self.file.write_text(yaml.safe_dump(documents.document(parts, metadata={"name": name})))
        return str(self.file)

    def apply(self, *args: str, **options: Any) -> Any:
        return self.world.run("apply", "-f", str(self.file), *args, **options)

    @property
    def key(self) -> str:
        return f"clusters/jobs/sources/{source(self.docker).digest}.zip"

    def image(self) -> dict[str, Any]:
        return self.world.document("jobs")["spec"]["batch"]["images"][0]

    def sent(self) -> list[str]:
        return [each["Key"] for each in client("s3").list_objects_v2(Bucket=BUCKET).get("Contents", ())]

    def versions(self) -> int:
        """How often anything was sent."""
        return len(client("s3").list_object_versions(Bucket=BUCKET).get("Versions", ()))


@pytest.fixture
def folder(world: World, tmp_path: Path) -> Folder:
    made = Folder(tmp_path, world)
    made.write({"name": "app", "directory": "./docker"})
    return made


def test_a_directory_becomes_an_archive_in_the_bucket(folder: Folder) -> None:
    result = folder.apply()
    assert result.stdout == "cluster/jobs created\n"
    assert result.stderr == f"{folder.docker}: sent 2 files, {len('FROM scratch') + 13} bytes\n"
    assert folder.image() == {"name": "app", "archive": f"s3://{BUCKET}/{folder.key}"}
    assert folder.sent() == [folder.key]
    body = client("s3").get_object(Bucket=BUCKET, Key=folder.key)["Body"].read()
    assert zipfile.ZipFile(io.BytesIO(body)).namelist() == ["Dockerfile", "app"]


def test_what_is_written_is_the_resource_itself(folder: Folder) -> None:
    folder.apply()
    document = folder.world.document("jobs")
    parsed = parse({**documents.document(), "metadata": {"name": "jobs"}, "spec": document["spec"]})
    assert not isinstance(parsed, Invalid), parsed


def test_applied_again_it_is_unchanged_and_not_sent_again(folder: Folder) -> None:
    client("s3").put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    folder.apply()
    again = folder.apply()
    assert (again.stdout, again.stderr) == ("cluster/jobs unchanged\n", "")
    assert folder.versions() == 1


def test_another_content_is_another_archive_and_another_spec(folder: Folder) -> None:
    folder.apply()
    before = folder.key
    (folder.docker / "app").write_text("2")
    assert folder.apply().stdout == "cluster/jobs configured\n"
    assert sorted(folder.sent()) == sorted([before, folder.key])
    assert folder.image()["archive"].endswith(folder.key)


def test_an_archive_that_has_gone_is_sent_again_though_the_spec_is_as_it_was(folder: Folder) -> None:
    folder.apply()
    client("s3").delete_object(Bucket=BUCKET, Key=folder.key)
    assert folder.apply().stdout == "cluster/jobs unchanged\n"
    assert folder.sent() == [folder.key]


def test_a_dry_run_sends_nothing(folder: Folder) -> None:
    result = folder.apply("--dry-run")
    assert (result.stdout, result.stderr) == ("cluster/jobs created (dry run)\n", "")
    assert folder.sent() == []


def test_paths_start_where_the_file_is_and_of_standard_input_here(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")
    folder.apply()
    text = folder.file.read_text()
    stderr = folder.world.run("apply", "-f", "-", stdin=text, code=1).stderr
    assert 'spec.batch.images[0].directory: "./docker": no such folder' in stderr
    monkeypatch.chdir(tmp_path)
    assert folder.world.run("apply", "-f", "-", stdin=text).stdout == "cluster/jobs unchanged\n"
    folder.write({"name": "app", "directory": str(folder.docker)})
    assert folder.apply().stdout == "cluster/jobs unchanged\n"


def test_images_without_a_directory_stay_as_they_are(folder: Folder) -> None:
    others = [{"name": "text", "dockerfile": "FROM scratch\n"}, {"name": "given", "uri": "busybox"}]
    folder.write(others[0], {"name": "app", "directory": "docker"}, others[1])
    folder.apply()
    images = folder.world.document("jobs")["spec"]["batch"]["images"]
    assert images == [others[0], {"name": "app", "archive": f"s3://{BUCKET}/{folder.key}"}, others[1]]


def test_two_images_of_one_folder_are_sent_once(folder: Folder) -> None:
    folder.write({"name": "app", "directory": "docker"}, {"name": "too", "directory": "docker/../docker"})
    assert len(folder.apply().stderr.splitlines()) == 1
    assert folder.sent() == [folder.key]


@pytest.mark.parametrize(
    ("image", "line"),
    [
        ({"directory": "none"}, '"none": no such folder; name the one that the Dockerfile is in'),
        ({"directory": "."}, '".": no Dockerfile in it; add one, or name the folder that has it'),
        ({"directory": 5}, "5: must be the path of a folder; write it as text"),
        ({"directory": None}, "null: must be the path of a folder; write it as text"),
        (
            {"directory": "docker", "uri": "busybox"},
            '"docker": exactly one of directory, dockerfile, archive, uri; remove uri, or this',
        ),
    ],
)
def test_what_is_no_source_is_told_and_nothing_is_sent_or_written(
    folder: Folder, image: dict[str, Any], line: str
) -> None:
    path = folder.write({"name": "good", "directory": "docker"}, {"name": "app", **image})
    assert folder.apply(code=1).stderr == f"error: {path}: spec.batch.images[1].directory: {line}\n"
    assert folder.sent() == []
    assert folder.world.item("jobs") is None


def test_all_that_is_wrong_is_told_at_once(folder: Folder) -> None:
    path = folder.write({"name": "app", "uri": "busybox"}, {"name": "NAME", "directory": "none"})
    lines = folder.apply(code=1).stderr.splitlines()
    assert [line.split(": ")[2] for line in lines] == ["spec.batch.images[1].name", "spec.batch.images[1].directory"]
    assert all(line.startswith(f"error: {path}: ") for line in lines)


@pytest.mark.parametrize(
    "batch", [None, [], {"images": None}, {"images": {"directory": "."}}, {"images": ["directory"]}]
)
def test_a_document_of_another_shape_is_told_as_ever(folder: Folder, batch: Any) -> None:
    folder.file.write_text(yaml.safe_dump(documents.document({**documents.batch(), "batch": batch})))
    assert "spec.batch" in folder.apply(code=1).stderr


def test_the_resource_does_not_know_directories() -> None:
    images = [{"name": "app", "directory": "./docker"}]
    parsed = parse(documents.document(documents.batch(images=images)))
    assert isinstance(parsed, Invalid)
    assert any("unknown field" in str(error) for error in parsed.errors)


def test_a_cluster_can_be_deleted_by_a_file_whose_folder_is_gone(folder: Folder) -> None:
    folder.apply()
    (folder.docker / "Dockerfile").unlink()
    assert folder.world.run("delete", "-f", str(folder.file)).stdout == "cluster/jobs deleted\n"


# ------------------------------------------------------------------ rights


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """Codes by operation, with which S3 refuses it."""
    codes: dict[str, str] = {}
    network = BaseClient._make_api_call

    def call(self: Any, operation: str, asked: Any) -> Any:
        if operation in codes:
            raise ClientError({"Error": {"Code": codes[operation], "Message": "no"}}, operation)
        return network(self, operation, asked)

    monkeypatch.setattr(BaseClient, "_make_api_call", call)
    return codes


def test_whoever_may_only_put_sends_each_time(folder: Folder, refusing: dict[str, str]) -> None:
    refusing["HeadObject"] = "403"
    assert "sent 2 files" in folder.apply().stderr
    assert folder.sent() == [folder.key]
    again = folder.apply()
    assert again.stdout == "cluster/jobs unchanged\n"
    assert "sent 2 files" in again.stderr


@pytest.mark.parametrize("operation", ["HeadObject", "PutObject"])
def test_what_s3_refuses_is_told_and_the_spec_is_not_written(
    folder: Folder, refusing: dict[str, str], operation: str
) -> None:
    refusing[operation] = "AccessDenied"
    assert folder.apply(code=1).stderr == f"error: access denied: {operation} needs the right to call it: no\n"
    assert folder.world.item("jobs") is None


# ------------------------------------------------------------------ diff


def test_diff_shows_the_archive_that_apply_would_send_and_sends_nothing(folder: Folder) -> None:
    out = folder.world.run("diff", "-f", str(folder.file), code=2)
    assert f"+    - archive: s3://{BUCKET}/{folder.key}\n" in out.stdout
    assert folder.sent() == []
    folder.apply()
    assert folder.image()["archive"] == f"s3://{BUCKET}/{folder.key}"
    assert folder.world.run("diff", "-f", str(folder.file), code=2).stdout == ""
