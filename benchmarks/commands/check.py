"""Does ``check``."""

from __future__ import annotations

from benchmarks.commands import say
from benchmarks.sweeps.store import Store, StoreError
from benchmarks.sweeps.store.mending import check

__all__ = ["check_command"]


def check_command(address: str, mend: bool) -> int:
    """See `benchmarks.commands.words.transfer`."""
    console = say.console()
    try:
        with Store(address) as opened:
            found = check(opened.database, mend)
            left = check(opened.database, mend=False) if mend else found
    except StoreError as error:
        return say.refuse(str(error))
    for one in found:
        remedy = one.remedy if mend else f"would be mended: {one.remedy}"
        say.line(console, f"{one.number} {one.what}: {remedy}")
    if not found:
        say.line(console, "nothing is wrong")
    return 1 if left else 0
