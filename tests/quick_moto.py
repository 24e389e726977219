"""moto spends most of its time on looking for names of like spelling, which is remembered here.

For each member of an answer it tries its name, the same in other spellings, and those of aliases. Which those are
depends on the member and on the class of the object that it is looked for in.
"""

import copy
from collections.abc import Callable
from functools import cache
from types import SimpleNamespace
from typing import Any

from botocore.model import Shape
from moto.core import models, responses
from moto.core.base_backend import BaseBackend
from moto.core.serialize import MISSING, AttributePickerContext, ResponseSerializer
from moto.core.utils import get_value
from moto.s3 import models as s3


def install() -> None:
    """For all tests of this process."""
    names_of = responses.method_names_from_class
    responses.method_names_from_class = cache(lambda kind: frozenset(names_of(kind)))
    ResponseSerializer.get_value = value_of
    ResponseSerializer._serialize_type_structure = structure(ResponseSerializer._serialize_type_structure)
    BaseBackend.urls = property(kept_urls(BaseBackend.urls.fget))
    # Made for each start of the emulator, a thousand of them.
    models.CallbackResponse = cache(models.CallbackResponse)
    s3.copy = SimpleNamespace(copy=copy.copy, deepcopy=listed)


def kept_urls(urls: Callable[[BaseBackend], dict[str, Any]]) -> Callable[[BaseBackend], dict[str, Any]]:
    """The patterns of a backend's URLs, which depend on its class alone."""
    known: dict[type, dict[str, Any]] = {}

    def of(self: BaseBackend) -> dict[str, Any]:
        kind = type(self)
        if kind not in known:
            known[kind] = urls(self)
        return known[kind]

    return of


def listed(versions: list[Any]) -> list[Any]:
    """Copies of an object's versions, on which to tell which is the last. They have no content, which moto copies too,
    a file for each, and so have to know its hash.
    """
    copies: list[Any] = []
    for version in versions:
        getattr(version, "etag", None)
        copies.append(version.__class__.__new__(version.__class__))
        copies[-1].__dict__.update(version.__dict__, _value_buffer=None, disposed=True)
    return copies


def structure(whole: Callable[..., None]) -> Callable[..., None]:
    """A value of an attribute in DynamoDB is one of ten types (`{"S": "text"}`), and is asked for that one alone."""

    def serialize(self: ResponseSerializer, serialized: Any, value: Any, shape: Any, key: str) -> None:
        if shape.name != "AttributeValue" or type(value) is not dict or not key or value.keys() - shape.members.keys():
            whole(self, serialized, value, shape, key)
            return
        made = self.MAP_TYPE()
        for kind in value:
            self._serialize_structure_member(made, value, shape.members[kind], kind)
        self._default_serialize(serialized, made, shape, key)

    return serialize


def value_of(self: ResponseSerializer, obj: Any, key: str, shape: Shape) -> Any:
    """The member of an object that is to be answered, by the first of its names that the object has."""
    picker = self._value_picker
    kind = type(obj)
    known = shape.__dict__.setdefault("_known_names", {})
    names = known.get((kind, key, type(picker)))
    if names is None:
        context = AttributePickerContext(obj, key, shape, self.operation_model, self.operation_model.service_model)
        names = known[kind, key, type(picker)] = tuple(dict.fromkeys(picker.get_possible_keys(context)))
    value = found(obj, kind, names)
    if picker.response_transformers:
        path = ".".join([*self.path, key])
        for ending, transform in picker.response_transformers.items():
            if path.endswith(ending):
                return transform(value)
    return value


def found(obj: Any, kind: type, names: tuple[str, ...]) -> Any:
    for name in names:
        value = obj.get(name, MISSING) if kind is dict and "." not in name else get_value(obj, name, MISSING)
        if value is not MISSING:
            return value
    return None
