"""Random specs of the published schema and random damage to DynamoDB items: plain, seeded, and fast."""

import copy
import string
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from re import _constants as codes  # isort: skip
from re import _parser as expressions  # isort: skip

from reconciler.cluster import to_item
from reconciler.cluster.schema import json_schema
from tests.unit.render.support import MATRIX, document

Json = dict[str, Any]
SCHEMA = json_schema()
DEFS = SCHEMA["$defs"]
ALPHABET = string.ascii_letters + string.digits + string.punctuation + " é漢"
# What a shell would act on. Each that is obeyed leaves a file behind; none of them needs a program.
CANARIES = (
    "$(>pwned)",
    "`>pwned`",
    "';>pwned;'",
    '";>pwned;"',
    "a\\'b",
    "$HOME ${PATH}",
    "| >pwned &",
    "<(>pwned)",
    "!! * ? [a] {b,c} ~ #",
    "'\"$(>pwned)\"'",
    "é';>pwned;'",
    "",
    "-n",
    "--=muster=--",
)


def text(pattern: str, most: int, random: Random) -> str:
    """A text that a pattern allows, of `most` characters at the most."""
    for _ in range(50):
        made = "".join(_parts(expressions.parse(pattern), random))
        if len(made) <= most:
            return made
    raise AssertionError(pattern)


def _class(items: Any, random: Random) -> str:
    if items[0][0] is codes.NEGATE:
        barred = {chr(value) for code, value in items[1:] if code is codes.LITERAL}
        return random.choice([each for each in ALPHABET if each not in barred])
    code, value = random.choice(items)
    return chr(value if code is codes.LITERAL else random.randint(*value))


def _parts(parsed: Any, random: Random) -> Iterator[str]:  # noqa: C901 - one branch for each kind of part
    for code, value in parsed:
        if code is codes.LITERAL:
            yield chr(value)
        elif code is codes.IN:
            yield _class(value, random)
        elif code is codes.BRANCH:
            yield from _parts(random.choice(value[1]), random)
        elif code is codes.SUBPATTERN:
            yield from _parts(value[-1], random)
        elif code is codes.MAX_REPEAT:
            least, most, inner = value
            for _ in range(random.randint(least, min(int(most), least + 6))):
                yield from _parts(inner, random)
        elif code is not codes.AT:
            if code is not codes.NOT_LITERAL:
                raise NotImplementedError(code)
            yield "x"


def _array(schema: Json, random: Random, chance: float) -> list[Any]:
    least = schema.get("minItems", 0)
    count = random.randint(least, min(schema["maxItems"], least + 2))
    made = [value(schema["items"], random, chance) for _ in range(count)]
    return list({repr(each): each for each in made}.values()) if schema.get("uniqueItems") else made


def _object(schema: Json, random: Random, chance: float) -> Json:
    if "properties" not in schema:
        names = schema["propertyNames"]
        keys = [text(names["pattern"], names["maxLength"], random) for _ in range(random.randint(0, 2))]
        return {key: value(schema["additionalProperties"], random, chance) for key in keys}
    # What only a rule between fields requires, too: without it a document is good for little.
    required = [*schema.get("required", ()), *schema.get("else", {}).get("required", ())]
    return {
        name: value(field, random, chance)
        for name, field in schema["properties"].items()
        if name in required or random.random() < chance
    }


def _string(schema: Json, random: Random, _: float) -> str:
    free = schema["pattern"].startswith("^[^")
    return random.choice(CANARIES) if free and random.random() < 0.8 else text(
        schema["pattern"], schema["maxLength"], random
    )  # fmt: skip


def _number(schema: Json, random: Random, _: float) -> int:
    low, high = schema["minimum"], schema["maximum"]
    return random.choice([low, high, random.randint(int(low) + 1, max(int(low) + 1, int(high)))])


OF_TYPE: dict[str, Callable[[Json, Random, float], Any]] = {
    "boolean": lambda _, random, __: random.random() < 0.5,
    "integer": _number,
    "number": _number,
    "string": _string,
    "array": _array,
    "object": _object,
}


def value(schema: Json, random: Random, chance: float) -> Any:
    """A value that the schema allows; an optional field is there with this chance."""
    if "$ref" in schema:
        return value(DEFS[schema["$ref"].removeprefix("#/$defs/")], random, chance)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return random.choice(schema["enum"])
    return OF_TYPE[schema["type"]](schema, random, chance)


def spec(random: Random) -> Json:
    """A document: half are random all over, half are good ones with a few fields random, which pass more often."""
    chance = random.choice([0.02, 0.1, 0.3, 0.7])
    if random.random() < 0.5:
        made = value(SCHEMA, random, chance)
        return with_slurm(made, random, chance) if made["spec"].get("scheduler") == "slurm" else made
    made = copy.deepcopy(document(**MATRIX[random.choice(sorted(MATRIX))]))
    for name in random.sample(sorted(DEFS["Spec"]["properties"]), random.randint(0, 3)):
        made["spec"][name] = value(DEFS["Spec"]["properties"][name], random, chance)
    if random.random() < 0.5:
        made["spec"]["bootstrap"] = value(DEFS["Bootstrap"], random, 0.8)
    return with_slurm(made, random, chance) if random.random() < 0.3 else made


def with_slurm(made: Json, random: Random, chance: float) -> Json:
    """The document itself with Slurm, on the system that has it, and what only a cluster with Slurm has."""
    made["spec"] |= {"scheduler": "slurm", "image": {**made["spec"].get("image", {}), "os": "ubuntu2404"}}
    for name in ("idleTime", "fleet"):
        if random.random() < 0.5:
            made["spec"][name] = value(DEFS["Spec"]["properties"][name], random, chance)
    return made


def slurm_spec(random: Random) -> Json:
    """A document with Slurm: a good one with its queues random, or nearly as many as there may be."""
    made = with_slurm(copy.deepcopy(document(**MATRIX[random.choice(sorted(MATRIX))])), random, 0.5)
    if random.random() < 0.5:
        made["spec"]["queues"] = value(DEFS["Spec"]["properties"]["queues"], random, 0.3)
    return made


def nested(depth: int) -> Any:
    """A DynamoDB value of so many levels."""
    made: Any = {"S": "end"}
    for level in range(depth):
        made = {"L": [made]} if level % 2 else {"M": {"a": made}}
    return made


WRONG: tuple[Callable[[Random], Any], ...] = (
    lambda _: None,
    lambda _: {"NULL": True},
    lambda _: {"S": "x" * 100_000},
    lambda random: {"S": random.choice([*CANARIES, "\ud800", "\0", "\u202e"])},
    lambda random: {"N": random.choice(["NaN", "Infinity", "1e400", "-0", "9" * 400, "1e-300", "x", "", "3.0"])},
    lambda random: {"B": random.randbytes(5)},
    lambda _: {"SS": ["b", "a"]},
    lambda _: {"NS": ["1", "2.5", "x"]},
    lambda _: {"BS": [b"a", b"\xff"]},
    lambda _: {"BOOL": "yes"},
    lambda random: nested(random.choice([3, 31, 33, 60])),
    lambda _: {"M": {"": {"S": ""}, "a.b[0]": {"S": "x"}, "\ud800": {"S": "x"}, "é\n": {"N": "1"}}},
    lambda _: {"S": "a", "N": "1"},
    lambda _: {},
    lambda _: [],
    lambda _: 10**400,
    lambda _: float("nan"),
    lambda _: {1: {"S": "x"}},
)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every part of a tree, as what holds it and under which key."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in list(pairs):
        yield value, key
        yield from _places(part)


def _replace(holder: Any, key: Any, random: Random) -> None:
    holder[key] = random.choice(WRONG)(random)


def _flip(holder: Any, key: Any, random: Random) -> None:
    """Another type, or another text: one character of either is changed."""
    if isinstance(holder[key], str) and holder[key]:
        at = random.randrange(len(holder[key]))
        holder[key] = holder[key][:at] + chr(ord(holder[key][at]) ^ 1 << random.randrange(7)) + holder[key][at + 1 :]
    elif isinstance(holder, dict) and isinstance(key, str):
        holder[random.choice(["S", "N", "B", "BOOL", "NULL", "SS", "NS", "BS", "L", "M", "Q"])] = holder.pop(key)


def _delete(holder: Any, key: Any, _: Random) -> None:
    del holder[key]


def _double(holder: Any, key: Any, _: Random) -> None:
    twin = copy.deepcopy(holder[key])
    if isinstance(holder, list):
        holder.append(twin)
    else:
        holder[f"{key}2"] = twin


MUTATIONS = (_replace, _replace, _flip, _flip, _delete, _double)


def damage(tree: Json, random: Random) -> Json:
    """The tree itself, with one to four faults anywhere in it."""
    for _ in range(random.randint(1, 4)):
        places = list(_places(tree))
        if places:
            random.choice(MUTATIONS)(*random.choice(places), random)
    return tree


def damaged(random: Random, of: Callable[..., Json] = document) -> Json:
    """An item of the specs table as its API gives it, damaged; `of` makes a document of a spec's fields."""
    return damage(to_item(of(**MATRIX[random.choice(sorted(MATRIX))])), random)
