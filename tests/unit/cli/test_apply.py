"""`muster apply`: from files to the specs table, and what a file does to what is there already."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from cli.files import read
from cli.proposal import propose
from reconciler.cluster import to_item
from reconciler.store import content_hash
from tests.unit import factories
from tests.unit.cli.conftest import World

SpecFile = Callable[..., str]


def labelled(**metadata: Any) -> dict[str, Any]:
    """A document with this metadata and no annotations."""
    document = factories.document()
    return {**document, "metadata": {"name": "demo", **metadata}}


def test_a_new_cluster_is_created(world: World, spec_file: SpecFile) -> None:
    result = world.run("apply", "-f", spec_file(factories.document()))
    assert result.stdout == "cluster/demo created\n"
    assert world.item() == to_item(factories.document())


def test_applying_it_again_changes_nothing(world: World, spec_file: SpecFile) -> None:
    path = spec_file(factories.document())
    world.run("apply", "-f", path)
    before = world.item()
    assert world.run("apply", "-f", path).stdout == "cluster/demo unchanged\n"
    assert content_hash(world.item()) == content_hash(before)


def test_the_same_spec_put_in_other_clothes_is_unchanged(world: World, spec_file: SpecFile) -> None:
    item = to_item(factories.document())
    item["spec"]["M"]["queues"]["L"][0]["M"] |= {"size": {"N": "2.0"}, "instanceTypes": {"SS": ["c7i.large"]}}
    world.put_item(item)
    assert world.run("apply", "-f", spec_file(factories.document())).stdout == "cluster/demo unchanged\n"


def test_a_changed_spec_replaces_the_old_one_as_a_whole(world: World, spec_file: SpecFile) -> None:
    world.put(tags={"project": "wx"}, logs={"retentionDays": 30})
    assert (
        world.run("apply", "-f", spec_file(factories.document(tags={"a": "b"}))).stdout == "cluster/demo configured\n"
    )
    assert world.document()["spec"]["tags"] == {"a": "b"}
    assert "logs" not in world.document()["spec"]


def test_attributes_that_do_not_belong_in_an_item_go(world: World, spec_file: SpecFile) -> None:
    world.put_item({**to_item(factories.document()), "sepc": {"S": "a slip"}})
    assert world.run("apply", "-f", spec_file(factories.document())).stdout == "cluster/demo configured\n"
    assert "sepc" not in world.document()


def test_a_spec_that_was_none_is_repaired(world: World, spec_file: SpecFile) -> None:
    world.put_item({"name": {"S": "demo"}, "spec": {"S": "oops"}, "labels": {"S": "oops"}})
    path = spec_file(labelled(labels={}))
    assert world.run("apply", "-f", path).stdout == "cluster/demo configured\n"


@pytest.mark.parametrize(
    ("before", "file", "after"),
    [
        ({"a": "1"}, None, {"a": "1"}),
        ({"a": "1"}, {}, {}),
        ({"a": "1"}, {"b": "2"}, {"b": "2"}),
        (None, {"b": "2"}, {"b": "2"}),
    ],
)
@pytest.mark.parametrize("kind", ["labels", "annotations"])
def test_labels_and_annotations_are_replaced_where_the_file_has_them_and_kept_where_not(
    world: World, spec_file: SpecFile, kind: str, before: Any, file: Any, after: Any
) -> None:
    world.put_item(to_item(labelled(**({} if before is None else {kind: before}))))
    world.run("apply", "-f", spec_file(labelled(**({} if file is None else {kind: file}))))
    assert world.document()[kind] == after


def test_musters_own_annotations_stay_unless_the_file_names_them(world: World, spec_file: SpecFile) -> None:
    world.put_item(to_item(labelled(annotations={"muster/upgrade": "0.1.0", "note": "old"})))
    world.run("apply", "-f", spec_file(labelled(annotations={"note": "new"})))
    assert world.document()["annotations"] == {"muster/upgrade": "0.1.0", "note": "new"}
    world.run("apply", "-f", spec_file(labelled(annotations={"muster/upgrade": "none"})))
    assert world.document()["annotations"] == {"muster/upgrade": "none"}


def test_labels_that_stay_and_are_wrong_are_told_and_nothing_is_written(world: World, spec_file: SpecFile) -> None:
    world.put_item({**to_item(labelled()), "labels": {"S": "oops"}})
    result = world.run("apply", "-f", spec_file(labelled()), code=1)
    assert "with what is there: metadata.labels: " in result.stderr
    assert world.document()["labels"] == "oops"


def test_upgrade_asks_for_the_version_that_is_deployed(account: World, spec_file: SpecFile) -> None:
    account.deploy(Version="9.8.7")
    account.run("apply", "--upgrade", "-f", spec_file(labelled(annotations={"note": "x"})))
    assert account.document()["annotations"] == {"note": "x", "muster/upgrade": "9.8.7"}


def test_a_dry_run_writes_nothing(world: World, spec_file: SpecFile) -> None:
    path = spec_file(factories.document())
    assert world.run("apply", "--dry-run", "-f", path).stdout == "cluster/demo created (dry run)\n"
    assert world.item() is None


def test_files_and_documents_in_them_are_applied_in_order(world: World, spec_file: SpecFile) -> None:
    first = spec_file(factories.document("b"), factories.document("a"))
    second = spec_file(factories.document("c"), name="c.yaml")
    result = world.run("apply", "-f", first, "--filename", second)
    assert result.stdout == "cluster/b created\ncluster/a created\ncluster/c created\n"


def test_json_and_standard_input_are_taken(world: World) -> None:
    result = world.run("apply", "-f", "-", stdin=json.dumps(factories.document(), indent="\t"))
    assert result.stdout == "cluster/demo created\n"


def test_numbers_and_truths_are_typed_as_dynamodb_has_them(world: World) -> None:
    text = json.dumps(
        factories.document(queues=[{"name": "q", "instanceTypes": ["c7i.large"], "size": 2, "efa": False}])
    )
    world.run("apply", "-f", "-", stdin=text)
    queue = (world.item() or {})["spec"]["M"]["queues"]["L"][0]["M"]
    assert (queue["size"], queue["efa"]) == ({"N": "2"}, {"BOOL": False})


def test_one_wrong_document_keeps_all_from_being_written(world: World, spec_file: SpecFile) -> None:
    wrong = factories.document("b", queues=[{"name": "q", "instanceTypes": ["c7i.large"], "minSize": 5, "maxSize": 2}])
    wrong["spec"]["colour"] = "red"
    path = spec_file(factories.document("a"), wrong)
    result = world.run("apply", "-f", path, code=1)
    lines = result.stderr.splitlines()
    assert all(line.startswith(f"error: {path}, document 2: spec.") for line in lines)
    assert "spec.colour" in result.stderr
    assert result.stdout == ""
    assert world.item("a") is None


def test_a_wrong_file_needs_no_aws_to_be_told(account: World, spec_file: SpecFile) -> None:
    result = account.run("apply", "-f", spec_file({"metadata": {"name": "x"}, "spec": {}}), code=1)
    assert "spec.network: (missing): required" in result.stderr
    assert "no stack" not in result.stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1", ":1:6: "),
        ("a: 1\na: 2\n", ":2:1: a is given twice"),
        ("- 1\n", "a document is a map"),
        ("", "there is no document in it"),
        ("---\n---\n", "there is no document in it"),
        ("a: \x01", "not YAML"),
        ("{" * 100_000, "not YAML"),
        ("d: 2024-99-99\n", "not YAML"),
        ("[]", "a document is a map"),
        ("kind: List\nitems: []\n", "there is no document in it"),
    ],
)
def test_text_that_is_no_document_is_told_with_its_place(world: World, tmp_path: Any, text: str, message: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    stderr = world.run("apply", "-f", str(path), code=1).stderr
    assert stderr.startswith(f"error: {path}")
    assert message in stderr
    assert len(stderr.splitlines()) == 1


def test_a_file_that_cannot_be_read_is_told(world: World, tmp_path: Any) -> None:
    missing = tmp_path / "missing.yaml"
    assert world.run("apply", "-f", str(missing), code=1).stderr == f"error: {missing}: No such file or directory\n"
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe\x00")
    assert world.run("apply", "-f", str(binary), code=1).stderr == f"error: {binary}: not text in UTF-8\n"
    assert "Is a directory" in world.run("apply", "-f", str(tmp_path), code=1).stderr


def test_a_file_is_required(world: World) -> None:
    assert "--filename" in world.run("apply", code=2).stderr


def test_yaml_merge_keys_are_no_repetition(tmp_path: Any) -> None:
    path = tmp_path / "merge.yaml"
    path.write_text(
        "x: &node {instanceType: t3.small}\n"
        "y: &more {elasticIp: true}\n"
        "apiVersion: muster/v1\n"
        "metadata: {name: demo}\n"
        "spec: {headNode: {<<: [*node, *more]}}\n"
    )
    with pytest.raises(Exception, match=r"x: .*unknown field"):
        read([str(path)])


def test_a_proposal_over_nothing_is_the_document_itself(spec_file: SpecFile) -> None:
    (document,) = read([spec_file(factories.document())])
    proposal = propose(document, None)
    assert (proposal.before, proposal.changes, proposal.after) == (None, True, factories.document())
