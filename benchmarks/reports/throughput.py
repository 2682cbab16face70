"""What part of their time the workers were training, from the records alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from benchmarks.reports.load import Run

Intervals = dict[str, list[tuple[float, float]]]


@dataclass(frozen=True)
class Work:
    """The attempts of all workers.

    Attributes:
        intervals: Worker to status (``finished``, ``failed``, ``other``) to pairs of beginning and end, in seconds
            since 1970.
        start, end: Of the first and of the last attempt.
        finished: Runs.
    """

    intervals: dict[str, Intervals]
    start: float
    end: float
    finished: int

    @property
    def training(self) -> float:
        """Seconds spent in runs whose result counts."""
        return sum(end - start for own in self.intervals.values() for start, end in own["finished"])

    @property
    def share(self) -> float:
        """The part of the workers' lives, from their first run to the end of their last one, spent in such runs."""
        lives = 0.0
        for own in self.intervals.values():
            pairs = [pair for status in own.values() for pair in status]
            lives += max(end for _, end in pairs) - min(start for start, _ in pairs)
        return self.training / lives if lives else float("nan")

    @property
    def whole_share(self) -> float:
        """The same of the whole time, from the first run of any worker to the last one's end, for every worker."""
        whole = (self.end - self.start) * len(self.intervals)
        return self.training / whole if whole else float("nan")

    @property
    def sentence(self) -> str:
        """All of it in words."""
        return (
            f"{len(self.intervals)} workers finished {self.finished} runs in {self.end - self.start:.0f} s. Of the "
            f"time between their first run and the end of their last one they spent {self.share:.0%} in runs whose "
            f"results count; of the whole time, all workers together, {self.whole_share:.0%}."
        )


def work(records: Iterable[Run]) -> Work | None:
    """None if the records do not say when and by whom."""
    intervals: dict[str, Intervals] = {}
    finished = 0
    for record in records:
        for attempt in record.get("attempts") or ():
            name, start, end = attempt.get("worker"), attempt.get("started"), attempt.get("ended")
            if None in (name, start, end):
                continue
            own = intervals.setdefault(name, {"finished": [], "failed": [], "other": []})
            told = "finished" if attempt["status"] == "diverged" else attempt["status"]  # a result, too
            status = told if told in own else "other"
            own[status].append((start, end))
            finished += status == "finished"
    pairs = [pair for own in intervals.values() for status in own.values() for pair in status]
    if not pairs:
        return None
    return Work(intervals, min(start for start, _ in pairs), max(end for _, end in pairs), finished)
