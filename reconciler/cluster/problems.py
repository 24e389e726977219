"""Turns what pydantic finds into errors that people can act on."""

import difflib
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, get_args

from pydantic_core import ErrorDetails

from reconciler.cluster.base import Model
from reconciler.cluster.errors import HIDDEN, MISSING, FieldError, field_path, quoted, short
from reconciler.cluster.model import Cluster
from reconciler.cluster.text import KINDS

# Fields whose values are the user's alone: arguments may carry what should not be in a status.
PRIVATE = frozenset({"args", "annotations", "command", "dockerfile", "environment"})


class Advice(NamedTuple):
    """What to tell: the rule in plain words and the way out."""

    rule: str
    fix: str


def model_in(annotation: object) -> type[Model] | None:
    """The model that an annotation speaks of, itself or inside a list or an optional."""
    if isinstance(annotation, type) and issubclass(annotation, Model):
        return annotation
    return next((found for argument in get_args(annotation) if (found := model_in(argument))), None)


def fields_at(location: Iterable[str | int]) -> dict[str, Any]:
    """Wire name -> FieldInfo of the model at a location of the document; empty where there is none."""
    fields: dict[str, Any] = {}
    annotation: object = Cluster
    for part in (0, *location):
        if isinstance(part, str):
            annotation = fields[part].annotation if part in fields else None
        model = model_in(annotation)
        fields = {info.alias: info for info in model.model_fields.values() if info.alias} if model else {}
    return fields


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word most like the given one, whatever the case and the underscores."""
    folded = {name.lower(): name for name in known}
    found = difflib.get_close_matches(word.lower().replace("_", "").replace("-", ""), folded, n=1, cutoff=0.6)
    return folded[found[0]] if found else None


def missing(error: ErrorDetails) -> Advice:
    """Advice for a required field that is not there: what it is for."""
    *parent, name = error["loc"]
    description = str(fields_at(parent)[str(name)].description or "")
    return Advice("required", f"add it: {description.split('. ', maxsplit=1)[0].rstrip('.')}")


def unknown(error: ErrorDetails) -> Advice:
    """Advice for a field that there is not: the nearest one that there is, or all."""
    *parent, name = error["loc"]
    known = fields_at(parent)
    guess = nearest(str(name), known)
    return Advice("unknown field", f"did you mean {guess}?" if guess else f"known here: {', '.join(sorted(known))}")


def choice(error: ErrorDetails) -> Advice:
    """Advice for a value that is none of the few possible ones."""
    expected = error.get("ctx", {}).get("expected", "").replace("'", "").replace(" or ", ", ").split(", ")
    value = error["input"]
    if len(expected) == 1:
        return Advice(f"must be {expected[0]}", f"write {expected[0]}")
    guess = nearest(value, expected) if isinstance(value, str) else None
    return Advice(f"must be one of {', '.join(expected)}", f"did you mean {guess}?" if guess else "choose one of them")


def pattern(error: ErrorDetails) -> Advice:
    """Advice for text of the wrong kind."""
    kind = KINDS[error.get("ctx", {})["pattern"]]
    return Advice(f"must be {kind.rule}", f"write it like {kind.example}")


def other(error: ErrorDetails) -> Advice:
    """Advice in pydantic's words, for what a later version of it may find."""
    return Advice(error["msg"], "see the published schema")


def wrong_type(wanted: str, fix: str, text_fix: str | None = None) -> Callable[[ErrorDetails], Advice]:
    """Advice for a value of another type than the field's; `text_fix` when the value is text."""
    return lambda error: Advice(f"must be {wanted}", text_fix if text_fix and isinstance(error["input"], str) else fix)


def bound(words: str, key: str, fix: str) -> Callable[[ErrorDetails], Advice]:
    """Advice for a value beyond a limit that pydantic names in the error's context."""

    def advice(error: ErrorDetails) -> Advice:
        limit = error.get("ctx", {})[key]
        return Advice(words.format(limit), fix.format(limit))

    return advice


BARE_NUMBER = "write the number without quotes (in DynamoDB: type N)"
BARE_BOOL = "write true or false without quotes (in DynamoDB: type BOOL)"

ADVICE: dict[str, Callable[[ErrorDetails], Advice]] = {
    "missing": missing,
    "extra_forbidden": unknown,
    "literal_error": choice,
    "string_pattern_mismatch": pattern,
    "string_type": wrong_type("text", "put it in quotes (in DynamoDB: type S)"),
    "int_type": wrong_type("a whole number", "write a number without a fraction", BARE_NUMBER),
    "float_type": wrong_type("a number", "write a number", BARE_NUMBER),
    "bool_type": wrong_type("true or false", "write true or false", BARE_BOOL),
    "tuple_type": wrong_type("a list", "write a list"),
    "dict_type": wrong_type("a map", "write a map"),
    "model_type": wrong_type("a map", "write a map"),
    "greater_than_equal": bound("must be at least {0}", "ge", "write {0} or more"),
    "less_than_equal": bound("must be at most {0}", "le", "write {0} or less"),
    "string_too_long": bound("must have at most {0} characters", "max_length", "shorten it"),
    "too_long": bound("must have at most {0} entries", "max_length", "leave at most {0}"),
    "too_short": bound("must have at least {0} entries", "min_length", "add entries"),
    "repeated": lambda _: Advice("must not repeat an entry", "remove the repetitions"),
}


def value_of(error: ErrorDetails) -> str:
    """What may be shown of the value that broke the rule."""
    location, value = error["loc"], error["input"]
    if error["type"] == "missing":
        return MISSING
    if isinstance(value, str) and (error["type"] == "extra_forbidden" or PRIVATE.intersection(location)):
        return HIDDEN
    return short(value)


def is_about_key(error: ErrorDetails) -> bool:
    """Whether the key of an open map is wrong: pydantic puts "[key]" behind it then, but users may write that too."""
    *_, key, mark = (None, None, *error["loc"])
    return mark == "[key]" and key == error["input"] and error["type"] != "extra_forbidden"


def problem(error: ErrorDetails) -> FieldError:
    """One of pydantic's errors in our words."""
    location = error["loc"]
    advice = ADVICE.get(error["type"], other)(error)
    if is_about_key(error):
        return FieldError(field_path(location[:-2]), quoted(str(location[-2])), f"the name {advice.rule}", advice.fix)
    return FieldError(field_path(location), value_of(error), advice.rule, advice.fix)


def problems(errors: list[ErrorDetails]) -> list[FieldError]:
    """All of them, but for those that only follow: a list whose entries are wrong is also reported as too
    short.
    """
    parents = {error["loc"][:length] for error in errors for length in range(len(error["loc"]))}
    return [problem(error) for error in errors if not (error["type"] == "too_short" and error["loc"] in parents)]
