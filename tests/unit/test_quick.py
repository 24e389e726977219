"""The quick parts of the emulator answer as the slow ones do, and refuse what those refuse, the second time as well."""

import copy
from collections.abc import Iterator
from typing import Any

import boto3
import botocore.session
import pytest
from botocore.exceptions import ClientError, NoCredentialsError
from moto import mock_aws
from moto.dynamodb.models.dynamo_type import DynamoType, Item
from moto.s3.models import s3_backends

ACCOUNT = "123456789012"
# Every type of an attribute, each by itself, in a map and in a list.
PLAIN: dict[str, Any] = {
    "text": {"S": "é"},
    "number": {"N": "1.50"},
    "bytes": {"B": b"\x00\xff"},
    "yes": {"BOOL": True},
    "nothing": {"NULL": True},
    "texts": {"SS": ["a", "b"]},
    "numbers": {"NS": ["1", "2"]},
    "blobs": {"BS": [b"1", b"2"]},
}
ITEM: dict[str, Any] = PLAIN | {
    "map": {"M": {**PLAIN, "empty": {"M": {}}}},
    "list": {"L": [*PLAIN.values(), {"L": []}]},
}
KEY = {"cluster": {"S": "demo"}, "row": {"S": "STATE"}}
HALF = "x" * 210_000


@pytest.fixture
def table() -> Iterator[Any]:
    with mock_aws():
        client = boto3.client("dynamodb")
        client.create_table(
            TableName="state",
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in KEY],
            KeySchema=[
                {"AttributeName": name, "KeyType": kind} for name, kind in zip(KEY, ("HASH", "RANGE"), strict=True)
            ],
            BillingMode="PAY_PER_REQUEST",
        )
        yield client


def put(table: Any, **values: Any) -> None:
    table.put_item(TableName="state", Item={**KEY, **values})


def got(table: Any) -> dict[str, Any]:
    return table.get_item(TableName="state", Key=KEY)["Item"]


def update(expression: str, names: Any = None, **values: Any) -> dict[str, Any]:
    given = {f":{name}": value for name, value in values.items()}
    more = {"ExpressionAttributeNames": names} if names else {}
    more |= {"ExpressionAttributeValues": given} if given else {}
    return {"TableName": "state", "Key": KEY, "UpdateExpression": expression, **more}


def test_an_item_comes_back_as_it_was_put(table: Any) -> None:
    put(table, **ITEM)
    assert got(table) == {**KEY, **ITEM}
    assert table.scan(TableName="state")["Items"] == [{**KEY, **ITEM}]


def test_an_update_reaches_into_an_item_and_changes_nothing_else(table: Any) -> None:
    put(table, **ITEM)
    answer = table.update_item(
        **update("SET #m.#t = :t REMOVE #l[0]", {"#m": "map", "#t": "text", "#l": "list"}, t={"S": "new"}),
        ReturnValues="ALL_OLD",
    )
    assert answer["Attributes"] == {**KEY, **ITEM}
    wanted = copy.deepcopy(ITEM)
    wanted["map"]["M"]["text"] = {"S": "new"}
    del wanted["list"]["L"][0]
    assert got(table) == {**KEY, **wanted}


def test_a_transaction_that_fails_leaves_everything_as_it_was(table: Any) -> None:
    put(table, **ITEM)
    before = table.scan(TableName="state")["Items"]
    changed = update("SET #m.#t = :t, #n = :t", {"#m": "map", "#t": "text", "#n": "new"}, t={"S": "new"})
    other = {"TableName": "state", "Item": {**KEY, "row": {"S": "OTHER"}}}
    refused = {
        "TableName": "state",
        "Key": {**KEY, "row": {"S": "NONE"}},
        "ConditionExpression": "attribute_exists(phase)",
    }
    steps = [{"Update": changed}, {"Put": other}, {"ConditionCheck": refused}]
    with pytest.raises(ClientError, match="ConditionalCheckFailed"):
        table.transact_write_items(TransactItems=steps)
    assert table.scan(TableName="state")["Items"] == before
    table.transact_write_items(TransactItems=steps[:2])
    assert len(table.scan(TableName="state")["Items"]) == 2
    assert got(table)["map"]["M"]["text"] == {"S": "new"}


@pytest.mark.parametrize(
    "wrong",
    [
        update("SET a = :a"),
        update("SET a = :a", a={"S": "x"}, b={"S": "x"}),
        update("SET #a = :a", {"#b": "b"}, a={"S": "x"}),
        update("SET #a = :a", {"#a": "a", "#b": "b"}, a={"S": "x"}),
        update("SET status = :a", a={"S": "x"}),
        update("SET a = :a, a = :a", a={"S": "x"}),
        update("SET a = :a SET b = :a", a={"S": "x"}),
        update("SET #c = :a", {"#c": "cluster"}, a={"S": "x"}),
        update("SET nowhere.b = :a", a={"S": "x"}),
        update("SET a = nowhere"),
        update("SET a = text + :a", a={"N": "1"}),
        update("SET a = :a,", a={"S": "x"}),
    ],
    ids=lambda wrong: wrong["UpdateExpression"],
)
def test_an_expression_that_is_wrong_is_refused_each_time(table: Any, wrong: dict[str, Any]) -> None:
    put(table, text={"S": "x"})
    for _ in range(2):
        with pytest.raises(ClientError, match="ValidationException"):
            table.update_item(**wrong)
    assert got(table) == {**KEY, "text": {"S": "x"}}


def test_the_same_expression_sets_other_values(table: Any) -> None:
    put(table, number={"N": "1"})
    for more in ("1", "2"):
        table.update_item(**update("SET #n = #n + :more", {"#n": "number"}, more={"N": more}))
    assert got(table)["number"] == {"N": "4"}


def test_an_item_that_is_too_large_is_refused_however_it_grows(table: Any) -> None:
    deep = {"M": {"a": {"L": [{"M": {"b": {"S": HALF}}}]}}}
    with pytest.raises(ClientError, match="Item size"):
        put(table, one=deep, other=deep)
    put(table, one=deep)
    with pytest.raises(ClientError, match="Item size"):
        table.update_item(**update("SET fresh = :v", v=deep))
    assert got(table) == {**KEY, "one": deep}


def test_a_copy_shares_nothing_that_can_change() -> None:
    item = Item(DynamoType({"S": "a"}), None, copy.deepcopy(ITEM))
    kept = copy.deepcopy(item)
    assert kept == item
    kept.attrs["map"]["text"] = DynamoType({"S": "new"})
    kept.attrs["list"].value.pop()
    kept.attrs["texts"].value.append("c")
    assert item.to_json()["Attributes"] == Item(DynamoType({"S": "a"}), None, ITEM).to_json()["Attributes"]


def test_listing_versions_tells_the_last_and_leaves_their_content() -> None:
    with mock_aws():
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket="bucket")
        s3.put_bucket_versioning(Bucket="bucket", VersioningConfiguration={"Status": "Enabled"})
        made = [s3.put_object(Bucket="bucket", Key="k", Body=body)["VersionId"] for body in (b"1", b"22")]
        backend = s3_backends[ACCOUNT]["aws"]
        for _ in range(2):
            found = s3.list_object_versions(Bucket="bucket")["Versions"]
            assert {each["VersionId"]: (each["IsLatest"], each["Size"]) for each in found} == {
                made[0]: (False, 1),
                made[1]: (True, 2),
            }
        assert [s3.get_object(Bucket="bucket", Key="k", VersionId=each)["Body"].read() for each in made] == [
            b"1",
            b"22",
        ]
        assert [key.value for key in backend.get_bucket("bucket").keys.getlist("k")] == [b"1", b"22"]


def test_without_credentials_no_call_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    with mock_aws():
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
            monkeypatch.delenv(name)
        with pytest.raises(NoCredentialsError):
            boto3.client("sqs").list_queues()


def test_a_client_of_s3_changes_nobody_elses_description_of_it() -> None:
    with mock_aws():
        s3 = boto3.client("s3", region_name="us-east-1")
        s3.create_bucket(Bucket="some")
        s3.list_object_versions(Bucket="some")
    described = botocore.session.get_session().get_component("data_loader").load_service_model("s3", "service-2")
    assert described["operations"]["ListObjectVersions"]["http"]["requestUri"] == "/{Bucket}?versions"
