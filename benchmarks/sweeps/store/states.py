"""The states of runs and attempts, and what may happen to them: the whole of it, on one page.

A **run** waits (``pending``), is being done (``running``) or is decided: ``finished``, ``diverged`` (its loss was no
number: a result of that point of the search, which nothing chooses and nobody tries again) or ``failed``. An
**attempt** is one try of one worker: ``running``; then ``finished``, ``diverged`` or ``failed`` as the run itself
ended; ``lost``, if its process died alone; ``interrupted``, if it was stopped, or ended together with the coordinator
or the machine; ``superseded``, if it came to its end when the run was decided already.

=========== ============================== ================================================================
event       who                            what
=========== ============================== ================================================================
claim       a worker                       takes a run that waits; its attempt begins
result      the worker of an attempt       stores what the run came to, even if it had been given up
divergence  the worker of an attempt       the same for a run that diverged
failure     the worker of an attempt       the same for a run that failed; it counts only while it is claimed
lose        the coordinator of a worker    the process of this one worker died
exhaust     the coordinator of a worker    the same, and the run has lost its process too often: it has failed
interrupt   the worker, any coordinator    stopped, or found without a living process
import      whoever has records            decides a run that waits by a record that was made elsewhere
redo        the user                       makes a decided run wait again
=========== ============================== ================================================================

A failure that is only a lost process (``killed``) is no property of the run, and gives way to a result that comes late.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

PENDING, RUNNING, FINISHED, FAILED, DIVERGED = "pending", "running", "finished", "failed", "diverged"
LOST, INTERRUPTED, SUPERSEDED = "lost", "interrupted", "superseded"

STATUSES = (PENDING, RUNNING, FINISHED, FAILED, DIVERGED)
"""Of runs."""

DECIDED = (FINISHED, FAILED, DIVERGED)
"""Of runs that are done; each has an attempt with the same status, which says how."""

ENDINGS = (*DECIDED, LOST, INTERRUPTED, SUPERSEDED)
"""Of attempts that are over."""

KILLED = "killed"
"""The failure of a run whose process was lost too often."""

Event = Literal["claim", "result", "divergence", "failure", "lose", "exhaust", "interrupt", "import", "redo"]

RUN_MOVES: Mapping[Event, Mapping[str, str]] = {
    "claim": {PENDING: RUNNING},
    "result": {PENDING: FINISHED, RUNNING: FINISHED, KILLED: FINISHED},
    "divergence": {PENDING: DIVERGED, RUNNING: DIVERGED, KILLED: DIVERGED},
    "failure": {RUNNING: FAILED},
    "lose": {RUNNING: PENDING},
    "exhaust": {RUNNING: FAILED},
    "interrupt": {RUNNING: PENDING},
    "redo": {FINISHED: PENDING, FAILED: PENDING, DIVERGED: PENDING},
}
"""Event to status to the next one; ``killed`` is a run that failed by nothing else. An import decides a waiting run."""

ATTEMPT_MOVES: Mapping[Event, Mapping[str, str]] = {
    "result": {RUNNING: FINISHED, LOST: FINISHED, INTERRUPTED: FINISHED, KILLED: FINISHED},
    "divergence": {RUNNING: DIVERGED, LOST: DIVERGED, INTERRUPTED: DIVERGED, KILLED: DIVERGED},
    "failure": {RUNNING: FAILED},
    "lose": {RUNNING: LOST},
    "exhaust": {RUNNING: FAILED},
    "interrupt": {RUNNING: INTERRUPTED},
    "redo": {RUNNING: INTERRUPTED, FINISHED: SUPERSEDED},
}
"""The same for attempts. What came to its end in any other state, when nothing counts any more, is ``superseded``."""

OUTCOMES: Mapping[str, Event] = {FINISHED: "result", DIVERGED: "divergence", FAILED: "failure"}


def outcome_status(outcome: Mapping[str, Any]) -> str:
    """The status of a run that came to this: what older records, and runs themselves, call a failure may be a result.

    Example:
        >>> outcome_status({"status": "failed", "failure": "diverged"}), outcome_status({"status": "finished"})
        ('diverged', 'finished')
    """
    status = outcome["status"]
    if status == FAILED and outcome.get("failure") == DIVERGED:
        return DIVERGED
    if status not in DECIDED:
        raise ValueError(f"the status of a run that has ended must be one of {', '.join(DECIDED)}; got {status!r}")
    return str(status)
