"""Refit: what a rule chose, trained once more on the training and validation parts of the training domains together.

After the search the validation parts have done their work, and a fifth of the training domains lies idle. A *refit*
takes the configuration that was chosen and trains it again from the same initialisation, with the same seeds, schedule
and average, up to the roll-out at which it was chosen; only the examples are more. It has no validation part, and is
evaluated on the held-out domains at its end, once. Two rules that choose the same share one refit.

**What looks at validation while it trains.**  SWAD begins and ends its mean by the validation loss, which a refit
cannot take. The record of the chosen run holds the losses that it was told (among its diagnostics, as ``validation loss
in training``), and the refit is told them again, at the same roll-outs: its window is that of the chosen run. An
algorithm that asks without having been told in the chosen run, or at other moments, is refused by name.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from benchmarks.base.records import ASKED, held_out_domains
from benchmarks.runs.config import RunConfig
from benchmarks.runs.rules import ORACLE, Rule
from benchmarks.runs.selection import Families, Selected, rollouts_until, winners


class Retold:
    """Tells a refit the validation losses of the run that was chosen, one after the other.

    Example:
        >>> run = RunConfig(
        ...     dataset="coloured-digits",
        ...     algorithm="erm-swad",
        ...     held_out="10%",
        ...     seed=0,
        ...     point=0,
        ...     hparams={},
        ...     refit=40,
        ...     valley=[0.5, 0.4],
        ... )
        >>> loss = Retold(run)
        >>> loss(), loss()
        (0.5, 0.4)
    """

    def __init__(self, config: RunConfig) -> None:
        self.config = config
        self.told = iter(config.valley)

    def __call__(self) -> float:
        """The next one.

        Raises:
            ValueError: if there is none.
        """
        loss = next(self.told, None)
        if loss is None:
            raise ValueError(
                f"{self.config.algorithm} asks for the validation loss while it trains, and a refit has no validation "
                f"part: the record of the chosen run must tell the loss at each of its checkpoints, got "
                f"{len(self.config.valley)} until roll-out {self.config.refit}; do the chosen run again if an earlier "
                "version made it, or leave the algorithm out of the refit"
            )
        return loss


def refit_of(selected: Selected) -> RunConfig:
    """The run that trains a choice again.

    Raises:
        ValueError: if the chosen run is not one on a data set of the registry.
    """
    config: Mapping[str, Any] = selected.run["config"]
    asked = (selected.run.get("diagnostics") or {}).get(ASKED, ())
    valley = asked[: selected.number + 1]
    return RunConfig.model_validate({**config, "refit": rollouts_until(config, selected.number), "valley": valley})


def refits(
    records: Iterable[Mapping[str, Any]],
    rules: Iterable[str],
    reported: Mapping[str, Iterable[frozenset[str]]],
    names: Collection[str],
    families: Families | None = None,
) -> list[RunConfig]:
    """The refits that some rules ask for, each once, in the order of the records.

    Args:
        records: Of the search.
        rules: Their names; the oracle, which cannot be had in practice, is passed over.
        reported: Data set -> the held-out sets to report on: those that only cross-validation needs are not refitted.
        names: Of the algorithms and families whose choices are trained again.
        families: As in `benchmarks.runs.selection.winners`.
    """
    kept, found = list(records), dict[str, RunConfig]()
    sets = {dataset: set(names) for dataset, names in reported.items()}
    for rule in map(Rule.named, rules):
        if rule.method == ORACLE:
            continue
        for winner in winners(kept, rule, families):
            outside = frozenset(held_out_domains(winner.held_out))
            if winner.algorithm in names and outside in sets.get(winner.dataset, ()):
                run = refit_of(winner.selected)
                found.setdefault(run.key(), run)
    return list(found.values())
