"""How a document that breaks a rule is reported."""

from dataclasses import dataclass


@dataclass(frozen=True)
class FieldError:
    """One broken rule: which field (`spec.queues[0].maxSize`), its value (short), the rule, and the way out."""

    field: str
    value: str
    rule: str
    fix: str

    def __str__(self) -> str:
        return f"{self.field}: {self.value}: {self.rule}; {self.fix}"


@dataclass(frozen=True)
class Invalid:
    """A document that is not a cluster, with every reason that was found (at least one)."""

    errors: tuple[FieldError, ...]

    def __str__(self) -> str:
        return "\n".join(str(error) for error in self.errors)
