"""One measured figure."""

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Figure:
    """A name that stays, a value, and its unit."""

    name: str
    value: float
    unit: str

    def __str__(self) -> str:
        return f"{self.name} {self.value:g} {self.unit}"

    def as_json(self) -> dict[str, str | float]:
        """As it stands in results.json."""
        return asdict(self)
