"""What a life is that the proofs disturb."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.proof.world import World


@dataclass(frozen=True)
class Scenario:
    """`start` is left in peace; each call of the passes that `drive` causes is disturbed.

    What a `racy` one does to the stack on the way depends on when it is disturbed; its end does not. `batch`: the
    cluster is one of AWS Batch; `slurm`: one with Slurm.
    """

    name: str
    start: Callable[[World], None]
    drive: Callable[[World], None]
    racy: bool = False
    batch: bool = False
    slurm: bool = False


def nothing(world: World) -> None:
    """An empty control plane."""
