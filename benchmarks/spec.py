"""What identifies a run: everything that decides its result, and nothing else."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class RunSpec:
    """One training run.

    Attributes:
        dataset: Name in the registry of data sets.
        algorithm: Name in the registry of algorithms.
        held_out: Name of the domain that the run must not see.
        seed: Of the data split, the initialisation and the order of the batches.
        point: Number of the point of random search; point 0 is the defaults.
        hparams: The hyper-parameters of that point.
        rollouts: Length of the run in roll-outs; each is `splits` gradient evaluations for every training domain, also
            for algorithms that know no roll-outs.
        evaluate_every: Roll-outs between checkpoints; the end is a checkpoint too.
        batch_size: Examples per gradient evaluation.
        splits: Gradient evaluations of a roll-out for every training domain.
        width: Hidden units of the network.
    """

    dataset: str
    algorithm: str
    held_out: str
    seed: int
    point: int
    hparams: dict[str, float]
    rollouts: int
    evaluate_every: int
    batch_size: int
    splits: int
    width: int

    def config(self) -> dict[str, Any]:
        """The fields, ready for JSON."""
        return dataclasses.asdict(self)

    def key(self) -> str:
        """A short name, the same for the same fields."""
        return hashlib.sha256(json.dumps(self.config(), sort_keys=True).encode()).hexdigest()[:16]
