"""moto does much again for each call that needs to be done once, which takes most of its time and is cut short here.

- For each attribute of each answer it tries a list of spellings and aliases. The list hangs on the attribute and the
  class of the object alone.
- A value of an attribute in DynamoDB is a map of its type to it (`{"S": "text"}`), to be looked at for nothing else.
- For each call it lists the methods of a class, and turns the name of the operation into that of a method.
- It weighs an item anew with each attribute that the item gets, and copies tables and items by way of `copy.deepcopy`.
- At each start it registers a thousand URLs for the sake of `requests`, by which nothing here asks.
"""

from collections.abc import Callable, Mapping
from copy import deepcopy
from functools import cache
from typing import Any

from moto.core import models, responses, utils
from moto.core.constants import MISSING
from moto.core.serialize import AttributePicker, AttributePickerContext, ResponseSerializer
from moto.dynamodb.models.dynamo_type import DynamoType, Item, LimitedSizeDict

KINDS = ("String", "Number", "Binary", "StringSet", "NumberSet", "BinarySet", "Map", "List", "Null", "Boolean")
SHAPES = frozenset(f"{kind}AttributeValue" for kind in KINDS)
# By attribute, class of the object, and way to pick. The attribute's shape is kept, so that none other comes to its id.
_spellings: dict[tuple[object, ...], tuple[object, tuple[str, ...]]] = {}


def install() -> None:
    """Cut it short, for all tests of this process."""
    search = ResponseSerializer.get_value

    def get_value(self: ResponseSerializer, value: Any, key: str, shape: Any) -> Any:
        if type(value) is dict and shape.name in SHAPES:
            return value.get(key)
        picker = self._value_picker
        if not isinstance(picker, AttributePicker) or hasattr(value, "Meta"):
            return search(self, value, key, shape)
        found = _pick(picker, value, key, shape)
        return _transformed(picker, found, f"{'.'.join(self.path)}.{key}") if picker.response_transformers else found

    ResponseSerializer.get_value = get_value
    responses.method_names_from_class = cache(utils.method_names_from_class)
    responses.camelcase_to_underscores = cache(utils.camelcase_to_underscores)
    models.RESPONSES_METHODS.clear()
    DynamoType.__deepcopy__ = lambda self, memo: _copied(self)
    in_json = DynamoType.to_regular_json
    DynamoType.to_regular_json = lambda self: _in_json(self, in_json)
    Item.__init__ = _make_item


def _pick(picker: AttributePicker, value: Any, key: str, shape: Any) -> Any:
    place = (id(shape), key, type(value), type(picker))
    kept = _spellings.get(place)
    if kept is None:
        possible = picker.get_possible_keys(AttributePickerContext(obj=value, key=key, shape=shape))
        kept = _spellings[place] = shape, tuple(dict.fromkeys(possible))
    for spelling in kept[1]:
        found = utils.get_value(value, spelling, MISSING)
        if found is not MISSING:
            return found
    return None


def _transformed(picker: AttributePicker, found: Any, path: str) -> Any:
    for end, transform in picker.response_transformers.items():
        if path.endswith(end):
            return transform(found)
    return found


def _copied(value: Any) -> Any:
    if type(value) is not DynamoType:
        return deepcopy(value)
    made = DynamoType.__new__(DynamoType)
    made.type, held = value.type, value.value
    if value.is_map():
        made.value = {key: _copied(each) for key, each in held.items()}
    elif value.is_list():
        made.value = [_copied(each) for each in held]
    else:
        made.value = list(held) if value.is_set() else held
    return made


def _in_json(value: Any, scalar: Callable[[DynamoType], dict[str, Any]]) -> Any:
    if type(value) is not DynamoType:
        return deepcopy(value)
    if value.is_map():
        return {value.type: {key: _in_json(each, scalar) for key, each in value.value.items()}}
    if value.is_list():
        return {value.type: [_in_json(each, scalar) for each in value.value]}
    return scalar(value)


def _make_item(self: Item, hash_key: DynamoType, range_key: DynamoType | None, attrs: Mapping[str, Any]) -> None:
    """It is too large with all its attributes, or never."""
    self.hash_key, self.range_key = hash_key, range_key
    self.attrs = LimitedSizeDict()
    made = {key: DynamoType(value) for key, value in attrs.items()}
    last = made.popitem() if made else None
    dict.update(self.attrs, made)
    if last:
        self.attrs[last[0]] = last[1]
