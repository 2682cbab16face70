"""What stands in a user's files and what was made of it: counts, columns, what was left out, and what looks wrong.

Every scheme of names (`folder:`, `table:`) makes one; ``data NAME`` prints it. A `Finding` either warns, with the way
to mend it, or refuses: what would make results wrong is an error wherever the data are used, until its word is allowed.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

__all__ = ["Finding", "Inventory", "RefusedError", "Section", "refuse"]


@dataclass(frozen=True)
class Finding:
    """Something that looks wrong.

    Attributes:
        what: one word for its kind, which ``allow=`` takes.
        text: what was found, where, and what to do about it.
        refused: whether results would be wrong.
    """

    what: str
    text: str
    refused: bool = False


@dataclass(frozen=True)
class Section:
    """A table of the inventory.

    Attributes:
        title: what it counts.
        columns: their names.
        rows: as many words each as there are columns.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Inventory:
    """All that is to be said about a user's files."""

    sections: tuple[Section, ...] = ()
    findings: tuple[Finding, ...] = ()


class RefusedError(ValueError):
    """Data hold what would make results wrong; `inventory` is what else there is to say about them."""

    def __init__(self, message: str, inventory: Inventory) -> None:
        super().__init__(message, inventory)
        self.inventory = inventory

    def __str__(self) -> str:
        return str(self.args[0])


def refuse(inventory: Inventory, allowed: Collection[str], name: str) -> None:
    """Refuse what would make results wrong, unless it is allowed.

    Raises:
        RefusedError: that says all of it, and how to go on; or that something is allowed which was not found.

    Example:
        >>> found = Finding("copies", "a.png is in two domains", refused=True)
        >>> refuse(Inventory(findings=(found,)), ["copies"], "folder:x")
    """
    findings = inventory.findings
    wrong = [finding for finding in findings if finding.refused and finding.what not in allowed]
    rest = replace(inventory, findings=tuple(finding for finding in findings if finding not in wrong))
    unknown = sorted({*allowed} - {finding.what for finding in findings})
    if unknown:
        found = ", ".join(sorted({finding.what for finding in findings})) or "nothing"
        raise RefusedError(f"{name}: allow={','.join(unknown)} allows what was not found; found was {found}", rest)
    if wrong:
        words = ",".join(sorted({finding.what for finding in wrong}))
        raise RefusedError(
            f"{name}: {'; '.join(finding.text for finding in wrong)}. To go on nevertheless: --allow {words}, or "
            f"allow={words} in the name",
            rest,
        )
