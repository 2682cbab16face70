"""Rules of selection: which point of the search, and which checkpoint along its training, stands for a method.

A *rule* has a name and goes by one figure, the highest of which wins:

- ``validation``: the mean metric on the validation parts of the training domains (``training-domain`` is its old name);
- ``validation-loss``: minus the loss on those parts, of the model that is evaluated;
- ``leave-one-domain-out``: cross-validation. For every training domain d there is a run that holds out d as well; the
  mean of the metric on those d, each by the run that has not seen it;
- ``both``: the mean of ``validation`` and ``leave-one-domain-out``, which chooses as their sum does;
- ``last``: ``validation`` at the end, and always the final checkpoint;
- ``oracle``: the metric on the held-out domains themselves. It cheats: no rule can choose better.

Each makes a choice for every seed by itself; with ``-shared`` behind its name (``both-shared``) one choice for all
seeds that split the same training domains, by the mean of the figure over them. That needs points which all seeds try
alike. Results of seeds that share a choice are not independent: intervals over them are somewhat too narrow.

Of equals the first algorithm, then the lowest point, then the earliest checkpoint is chosen. Checkpoints are compared
by their number: runs with fewer training domains have shorter roll-outs. A point counts if all the runs that the rule
looks at have finished.
"""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.base.errors import unknown

VALIDATION, VALIDATION_LOSS, LEAVE_ONE_OUT = "validation", "validation-loss", "leave-one-domain-out"
BOTH, LAST, ORACLE = "both", "last", "oracle"
TRAINING_DOMAIN = "training-domain"
"""What `VALIDATION` is called in records and in older sweep files."""

METHODS = {
    VALIDATION: "validation parts of the training domains",
    VALIDATION_LOSS: "the loss on the validation parts of the training domains",
    LAST: "the same points as validation at the end, final checkpoint",
    LEAVE_ONE_OUT: "cross-validation over the training domains",
    BOTH: "validation and leave-one-domain-out, summed",
    ORACLE: "the held-out domains themselves: cheats",
}
"""Methods of selection, and on what they choose."""

CROSSED = (LEAVE_ONE_OUT, BOTH)
"""Methods that need runs which hold one more domain out."""

RECORDED = {VALIDATION: TRAINING_DOMAIN, LAST: LAST, ORACLE: ORACLE}
"""Methods that need one run only, and their names in its record."""

SHARED = "-shared"


@dataclass(frozen=True)
class Rule:
    """A rule of selection.

    Attributes:
        method: One of `METHODS`.
        shared: Whether all seeds share one choice.

    Example:
        >>> rule = Rule.named("leave-one-domain-out-shared")
        >>> rule.method, rule.shared, rule.name, Rule.named("training-domain").name
        ('leave-one-domain-out', True, 'leave-one-domain-out-shared', 'validation')
    """

    method: str
    shared: bool = False

    @classmethod
    def named(cls, name: str) -> Rule:
        """The rule of this name.

        Raises:
            ValueError: if there is none.
        """
        method = name.removesuffix(SHARED)
        method = VALIDATION if method == TRAINING_DOMAIN else method
        if method not in METHODS:
            known = [word for each in METHODS for word in (each, each + SHARED)]
            raise ValueError(unknown(name, [*known, TRAINING_DOMAIN]))
        return cls(method, name.endswith(SHARED))

    @property
    def name(self) -> str:
        """The same again, never an old one."""
        return self.method + SHARED * self.shared

    @property
    def crossed(self) -> bool:
        """Whether it needs runs that hold one more domain out."""
        return self.method in CROSSED

    @property
    def description(self) -> str:
        """On what it chooses."""
        return METHODS[self.method] + ("; one choice for all seeds" if self.shared else "")


def known_rule(name: str) -> str:
    """For pydantic: the name of a rule, the new one where an old one is given.

    Raises:
        ValueError: if there is no such rule.

    Example:
        >>> known_rule("training-domain")
        'validation'
    """
    return Rule.named(name).name
