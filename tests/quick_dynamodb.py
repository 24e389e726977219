"""moto's DynamoDB, without what it does over and over: the same answers for a fraction of the time.

It copies a value at each level that it is looked at, all of a table for each transaction, and it reads an expression
anew, node by node with each of ten readers, though the operator has a dozen of them.
"""

import copy
from collections.abc import Callable
from functools import cache, wraps
from types import SimpleNamespace
from typing import Any

from moto.dynamodb import models
from moto.dynamodb.models.dynamo_type import DynamoType, Item, LimitedSizeDict
from moto.dynamodb.models.table import Table
from moto.dynamodb.models.utilities import bytesize
from moto.dynamodb.parsing.ast_nodes import DepthFirstTraverser, Expression, Node, UpdateExpressionFunction
from moto.dynamodb.parsing.expressions import UpdateExpressionParser

SETS = frozenset({"SS", "NS", "BS"})


def install() -> None:
    """For all tests of this process."""
    whole_size, whole_json, whole_cast = DynamoType.size, DynamoType.to_regular_json, DynamoType.cast_value.fget
    DynamoType.__deepcopy__ = lambda self, memo: copied(self)
    DynamoType.size = partly(size, whole_size)
    DynamoType.to_regular_json = partly(regular_json, whole_json)
    DynamoType.cast_value = property(partly(cast, whole_cast))
    Item.__init__ = made
    Node.__deepcopy__ = lambda self, memo: grown(self)
    Node.find_clauses = find_clauses
    DepthFirstTraverser.traverse = traverse
    UpdateExpressionParser.make = cache(UpdateExpressionParser.make)
    models.DynamoDBBackend.update_item = on_a_copy(models.DynamoDBBackend.update_item)
    models.copy = SimpleNamespace(deepcopy=kept)


def partly(quick: Callable[[Any], Any], whole: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Maps and lists by way of their parts, all else as moto has it."""
    return lambda value: quick(value) if value.type in ("M", "L") else whole(value)


def copied(value: DynamoType) -> DynamoType:
    made = DynamoType.__new__(DynamoType)
    made.type, made.value = value.type, value.value
    if value.type == "M":
        made.value = {key: copied(part) for key, part in value.value.items()}
    elif value.type == "L":
        made.value = [copied(part) for part in value.value]
    elif value.type in SETS:
        made.value = list(value.value)
    return made


def size(value: DynamoType) -> int:
    if value.type == "L":
        return sum(part.size() for part in value.value)
    return sum(bytesize(key) + part.size() for key, part in value.value.items())


def regular_json(value: DynamoType) -> dict[str, Any]:
    if value.type == "L":
        return {"L": [part.to_regular_json() for part in value.value]}
    return {"M": {key: part.to_regular_json() for key, part in value.value.items()}}


def cast(value: DynamoType) -> Any:
    if value.type == "L":
        return [part.cast_value for part in value.value]
    return {key: part.cast_value for key, part in value.value.items()}


def made(item: Item, hash_key: DynamoType, range_key: DynamoType | None, attrs: dict[str, Any]) -> None:
    """The limit of an item's size is held against it as a whole, by the last attribute, and not once for each."""
    item.hash_key, item.range_key, item.attrs = hash_key, range_key, LimitedSizeDict()
    for key, value in attrs.items():
        dict.__setitem__(item.attrs, key, DynamoType(value))
    if attrs:
        key, value = dict.popitem(item.attrs)
        item.attrs[key] = value


def on_a_copy(update: Callable[..., Item]) -> Callable[..., Item]:
    """An item is changed on a copy that takes its place: whoever has kept the old one has it as it was."""

    @wraps(update)
    def update_item(
        self: models.DynamoDBBackend, table_name: str, key: dict[str, Any], *more: Any, **rest: Any
    ) -> Item:
        table = self.get_table(table_name)
        rows = table.items.get(DynamoType(key[table.hash_key_attr])) if table.hash_key_attr in key else None
        row = DynamoType(key[table.range_key_attr]) if table.range_key_attr in key else None
        if row is not None and rows and row in rows:
            rows[row] = copy.deepcopy(rows[row])
        elif isinstance(rows, Item):
            table.items[rows.hash_key] = copy.deepcopy(rows)
        return update(self, table_name, key, *more, **rest)

    return update_item


def kept(thing: Any) -> Any:
    """A copy to go back to. Since items are changed on copies only, that of a table without a stream shares them."""
    if not isinstance(thing, Table):
        return copy.deepcopy(thing)
    if thing.stream_shard is not None:
        return copy.deepcopy(thing)
    same = copy.copy(thing)
    same.items = copy.copy(thing.items)
    for key, rows in thing.items.items():
        same.items[key] = rows if isinstance(rows, Item) else copy.copy(rows)
    return same


def grown(node: Node) -> Node:
    """A copy of a tree, which is all that hangs below a node."""
    made = type(node).__new__(type(node))
    made.__dict__.update(node.__dict__, parent=None)
    if node.children is not None:
        made.children = [grown(child) if isinstance(child, Node) else copy.deepcopy(child) for child in node.children]
        for child in made.children:
            if isinstance(child, Node):
                child.parent = made
    return made


@cache
def is_node(kind: type) -> bool:
    return issubclass(kind, Node)


@cache
def is_searched(kind: type) -> bool:
    return issubclass(kind, Expression | UpdateExpressionFunction)


def find_clauses(node: Node, kinds: list[type]) -> list[Node]:
    """The nodes of these kinds below a node, but none below one that was found."""
    clauses: list[Node] = []
    for child in node.children or ():
        kind = type(child)
        if kind in kinds:
            clauses.append(child)
        elif is_searched(kind):
            clauses += find_clauses(child, kinds)
    return clauses


def traverse(self: DepthFirstTraverser, node: Node) -> Node:
    """As `traverse_node_recursively` has it; what is done with a kind of node is looked up once."""
    processors = self._processing_map()
    known: dict[type, Any] = {}

    def visit(node: Any, place: int) -> Any:
        kind = type(node)
        if not is_node(kind):
            return node
        parent = node.parent
        for number, child in enumerate(node.children or ()):
            self.pre_processing_of_child(node, number)
            visit(child, number)
        if kind not in known:
            known[kind] = next((each for of, each in processors.items() if issubclass(kind, of)), None)
        if known[kind]:
            node = known[kind](node)
            node.parent = parent
            if parent:
                parent.children[place] = node
        return node

    return visit(node, -1)
