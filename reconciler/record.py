"""The state record: all that the operator remembers of one cluster between two passes.

It is one item of the state table (`cluster` = name, `row` = STATE), and it is the finalizer: it exists from
before the first action until nothing of the cluster is left. Times are seconds since the epoch.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from decimal import Decimal
from typing import Any, Self, cast

from reconciler.pins import Pins

ABSENT = "absent"
# Seconds from a call's announcement after which it cannot land any more: a pass lives 60 at most (template.yaml), and
# AWS refuses a request whose date stamp is 15 minutes old (RequestExpired, "Common Errors" of the API references).
LONGEST_FLIGHT = 960


@dataclass(frozen=True, slots=True)
class Lease:
    """Who may write the record, and until when. The fence only grows: a holder that sees another has lost."""

    owner: str = ""
    expires: float = 0.0
    fence: int = 0

    def held(self, now: float) -> bool:
        """Whether somebody holds it."""
        return bool(self.owner) and self.expires > now


@dataclass(frozen=True, slots=True)
class Accepted:
    """The last spec that was found right, and the generation it came with. This is what is kept true."""

    generation: int
    spec_hash: str
    document: str


@dataclass(frozen=True, slots=True)
class Rendering:
    """What the stack was last asked to be, and by which version of the operator.

    `spec_hash` is of the part of the spec that the template depends on. `names` gives logical ids the names by which
    the user consents to their loss; `retained` says which outlive the stack, and how (Retain or Snapshot).
    """

    hash: str
    version: str
    spec_hash: str
    names: Mapping[str, str] = field(default_factory=dict[str, str])
    retained: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Failure:
    """A thing that failed, how often in a row, and when it is tried again; None is "not before the spec changes".

    `source` tells one failure from the next of the same thing, so that seeing it twice does not count twice. Of a
    call, `code` is the reason that its condition gives, and `stalled` says that it will not pass by itself.
    """

    subject: str
    reason: str
    source: str = ""
    count: int = 1
    retry_at: float | None = None
    code: str = ""
    stalled: bool = False


@dataclass(frozen=True, slots=True)
class Bootstraps:
    """Nodes of a queue that failed before they ever served: how many in a row since one did.

    `reason` is the last one's, and `at` when that failed; `source` tells from which spec and launch template they
    came. `counted` are those of them that still have a row.
    """

    count: int
    reason: str
    source: str
    at: float
    counted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pending:
    """A mutating call, announced before it is made."""

    action: str
    subject: str
    token: str
    at: float


@dataclass(frozen=True, slots=True)
class Record:
    """One cluster's memory.

    `generation` counts the changes of the user's spec; `spec_hash` is of the item as it stands, right or wrong, and
    `absent` when it is gone. `change_set` is the one made and not yet deleted. `unchanged` is two hashes with a slash
    between: CloudFormation found that the second template changes nothing of a stack made from the first. `sizes` are
    the sizes last put in force: of groups by queue, of compute environments by their name in AWS, as
    [min, max, desired or None]. `launches` and `bootstraps` are of queues whose nodes could not be launched, or failed
    before they served. `environments` are the names of all compute environments that may exist.
    `stack_id` is the stack last seen. `failure` is of a stack operation, `trouble` of an AWS call; `pending` is the
    call announced before it was made; `unsettled` is when one was announced that makes something and that no pass has
    told the end of. `digest` is of the facts last seen. `timer` is the one pending wake-up.
    `created` is when the cluster's first pass was.
    """

    cluster: str
    uid: str
    lease: Lease = field(default_factory=Lease)
    generation: int = 0
    spec_hash: str = ABSENT
    accepted: Accepted | None = None
    rendering: Rendering | None = None
    pins: Pins = field(default_factory=Pins)
    change_set: str = ""
    unchanged: str = ""
    sizes: Mapping[str, tuple[int, int, int | None]] = field(default_factory=dict[str, tuple[int, int, int | None]])
    launches: Mapping[str, Failure] = field(default_factory=dict[str, Failure])
    bootstraps: Mapping[str, Bootstraps] = field(default_factory=dict[str, Bootstraps])
    environments: tuple[str, ...] = ()
    stack_id: str = ""
    deleting_since: float | None = None
    failure: Failure | None = None
    trouble: Failure | None = None
    pending: Pending | None = None
    unsettled: float | None = None
    timer: float | None = None
    digest: str = ""
    created: float | None = None
    status: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def phase(self) -> str:
        """The phase last shown to the user."""
        return str(self.status.get("phase", ""))

    def to_item(self) -> dict[str, Any]:
        """The record as an item of the state table, lease apart (the lease is written by its own call)."""
        item = {key: value for key, value in asdict(self).items() if key != "lease" and value not in (None, "", {}, ())}
        item["phase"] = self.phase
        return {camel(key): _plain(value) for key, value in item.items()}

    @classmethod
    def from_item(cls, item: Mapping[str, Any]) -> Self:
        """The record of an item as DynamoDB gives it (deserialised: numbers are Decimals)."""
        plain: dict[str, Any] = _numbers(dict(item))
        known: dict[str, Any] = {f.name: plain[camel(f.name)] for f in fields(cls) if camel(f.name) in plain}
        for name, kind in _PARTS.items():
            if name in known:
                known[name] = kind(**known[name])
        known["sizes"] = {queue: tuple(sizes) for queue, sizes in known.get("sizes", {}).items()}
        if "pins" in known:
            shapes = {kind: tuple(shape) for kind, shape in known["pins"].shapes.items()}
            known["pins"] = replace(known["pins"], shapes=shapes)
        for name, kind in _MAPS.items():
            known[name] = {queue: kind(**each) for queue, each in known.get(name, {}).items()}
        known["environments"] = tuple(known.get("environments", ()))
        known["lease"] = Lease(
            plain.get("leaseOwner", ""), float(plain.get("leaseExpires", 0)), int(plain.get("fence", 0))
        )
        return cls(**known)

    def remember(self, **changes: Any) -> Self:
        """The same record with these fields changed."""
        return replace(self, **changes)


def _bootstraps(*, counted: Sequence[str] = (), **known: Any) -> Bootstraps:
    return Bootstraps(**known, counted=tuple(counted))


_PARTS = {
    "accepted": Accepted,
    "rendering": Rendering,
    "pins": Pins,
    "failure": Failure,
    "trouble": Failure,
    "pending": Pending,
}
_MAPS: dict[str, Callable[..., Any]] = {"launches": Failure, "bootstraps": _bootstraps}


def camel(name: str) -> str:
    """snake_case as the camelCase of the wire."""
    head, *tail = name.split("_")
    return head + "".join(part.title() for part in tail)


def _plain(value: Any) -> Any:
    """A value as boto3's DynamoDB serialiser takes it: it refuses floats and tuples."""
    if isinstance(value, float):
        return Decimal(repr(value))
    return _mapped(value, _plain)


def _numbers(value: Any) -> Any:
    """DynamoDB's Decimals as int where they are whole, else as float."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return _mapped(value, _numbers)


def _mapped(value: Any, change: Callable[[Any], Any]) -> Any:
    """A map or a list with its parts changed; anything else as it is."""
    if isinstance(value, Mapping):
        mapping = cast("Mapping[str, Any]", value)
        return {key: change(inner) for key, inner in mapping.items()}
    if isinstance(value, list | tuple):
        return [change(inner) for inner in cast("Sequence[Any]", value)]
    return value
