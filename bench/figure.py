"""Measured figures, and how they grow."""

import math
import statistics
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


def exponent(points: list[tuple[float, float]]) -> float:
    """The slope of the least-squares line through the logarithms: by which power the second grows with the first."""
    return statistics.linear_regression(*(list(map(math.log, side)) for side in zip(*points, strict=True))).slope
