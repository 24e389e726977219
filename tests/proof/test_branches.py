"""The harness of the proofs is held to its word: a branch is a run with one thing that strikes it, and no more."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.proof.faults import explore
from tests.proof.lives import Scenario
from tests.proof.scenarios import SCENARIOS
from tests.proof.world import World


@dataclass(frozen=True)
class Mark:
    """Leaves its name in a file, and lets the call go on."""

    name: str
    file: Path
    after: bool = False

    def strike(self, world: World, operation: str) -> None:
        with self.file.open("a") as file:
            file.write(f"{self.name}\n")

    def hold(self, world: World, scenario: Scenario, expected: Any) -> None:
        pass


def test_of_several_that_let_the_call_go_on_each_strikes_a_branch_of_its_own(world: World, tmp_path: Path) -> None:
    marks = [Mark(name, tmp_path / "struck") for name in ("first", "second", "third")]
    outcome = explore(world, SCENARIOS[0], lambda index, operation: marks if index == 0 else [], lambda *_: None)
    assert outcome.cases == len(marks)
    assert marks[0].file.read_text().split() == [mark.name for mark in marks]
