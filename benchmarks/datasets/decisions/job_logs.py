"""Jobs of a real cluster, from a log in the Standard Workload Format (SWF): ``LOG.swf`` or ``LOG.swf.gz``.

A line is one job in 18 fields (https://www.cs.huji.ac.il/labs/parallel/workload/swf.html), -1 where nothing is known;
lines that begin with ``;`` are a header. Read are the time of submission (field 2), the run time (4), the processors
that were given (5) or else asked for (8), and the time that the user asked for (9) or else the run time. ``MaxProcs``
of the header says how large the machine was: sizes are scaled from there to the cluster of the simulator.
``StartTime``, or else ``UnixStartTime`` with ``TimeZone``, says what time of the day it was at second 0; without them
it is midnight.

Jobs that never ran, or have no size, are left out and counted. Run times are cut to the longest of the simulator.

The log is cut into blocks of two days from midnight to midnight. An episode begins at some hour of the first day of a
block and takes the jobs of `HORIZON` steps from there, so that no job is in two blocks; there are so many at most,
drawn at random, that the cluster is as busy as with the workload ``batch``. Every fourth block is kept for playing.
"""

from __future__ import annotations

import gzip
import re
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.datasets.decisions.job_workloads import (
    DAY,
    HORIZON,
    LONGEST,
    PROCESSORS,
    STEP,
    Job,
    steps,
    submitted,
)

ENDINGS = (".swf", ".swf.gz")
HIGHEST = 10**10
"""Of a field: as seconds three centuries. A moment without end would be blocks without end."""

FIELDS = 18
SUBMITTED, RUNTIME, GIVEN, ASKED, REQUESTED = 1, 3, 4, 7, 8
LEAST, MOST = 8, 70
"""Jobs of an episode."""

FULL = 0.6 * PROCESSORS * HORIZON
"""So much work has an episode at most, in processors times steps."""

BLOCKS = 8
"""A log has so many busy blocks at least."""

KEPT = 4
"""One of so many blocks is kept for playing."""

HOURS = 24


def is_log(path: Path) -> bool:
    """Whether a file's name says that it is one.

    Example:
        >>> is_log(Path("KTH-SP2.swf.gz")), is_log(Path("jobs.csv"))
        (True, False)
    """
    return path.name.lower().endswith(ENDINGS)


def name_of(path: Path) -> str:
    """Of its domain: what stands before the ending.

    Example:
        >>> name_of(Path("logs/KTH-SP2.swf.gz"))
        'KTH-SP2'
    """
    end = next(end for end in sorted(ENDINGS, key=len, reverse=True) if path.name.lower().endswith(end))
    return path.name[: -len(end)]


@dataclass(frozen=True)
class JobLog:
    """What a log holds, by the time of submission; times in seconds after a midnight.

    Attributes:
        submitted: ``[n]``.
        processors: ``[n]``, of the simulator's cluster.
        runtime: ``[n]`` seconds that a job ran.
        requested: ``[n]`` seconds that its user asked for.
        blocks: Numbers of the blocks whose every hour begins an episode of `LEAST` jobs.
        facts: What was read and what was left.
    """

    submitted: NDArray[np.int64]
    processors: NDArray[np.int64]
    runtime: NDArray[np.int64]
    requested: NDArray[np.int64]
    blocks: tuple[int, ...]
    facts: str

    @property
    def for_logs(self) -> tuple[int, ...]:
        """The blocks that episodes of the data set are from."""
        return tuple(block for number, block in enumerate(self.blocks) if number % KEPT != KEPT - 1)

    @property
    def for_play(self) -> tuple[int, ...]:
        """Those that are kept for playing."""
        return self.blocks[KEPT - 1 :: KEPT]

    def jobs(self, block: int, start: int, rng: np.random.Generator) -> list[Job]:
        """Of one episode; `start` is the time of the day, in steps."""
        begin = (2 * block * DAY + start) * STEP
        low, high = np.searchsorted(self.submitted, [begin, begin + HORIZON * STEP])
        chosen: list[int] = []
        work = 0
        for number in low + rng.permutation(high - low):
            work += int(self.processors[number]) * steps(float(self.runtime[number]))
            if work > FULL or len(chosen) == MOST:
                break
            chosen.append(int(number))
        return [
            submitted(
                int((self.submitted[number] - begin) // STEP),
                int(self.processors[number]),
                steps(float(self.runtime[number])),
                min(int(np.ceil(self.requested[number] / STEP)), 2 * LONGEST),
                rng,
            )
            for number in sorted(chosen)
        ]


def read(path: Path) -> JobLog:
    """The log.

    Raises:
        ValueError: If it cannot be read, a line is broken (names its number), the header has no ``MaxProcs``, or there
            are too few busy days.
    """
    header: dict[str, str] = {}
    rows: list[tuple[int, int, int, int]] = []
    left = 0
    for number, line in enumerate(_text(path).split("\n"), start=1):
        if line.lstrip().startswith(";"):
            word, colon, said = line.lstrip("; \t").partition(":")
            if colon:
                header.setdefault(word.strip(), said.strip())
        elif line.strip():
            at, running, processors, requested = _job(path, number, line)
            if running <= 0 or processors <= 0:
                left += 1
                continue
            rows.append((at, running, processors, requested))
    largest = _largest(path, header)
    table = np.array(sorted(rows), dtype=np.int64).reshape(-1, 4)
    cut = int((table[:, 2] > largest).sum())
    moments = table[:, 0] + _clock(path, header)
    sizes = np.rint(table[:, 2] * PROCESSORS / largest).clip(1, PROCESSORS).astype(np.int64)
    asked = np.where(table[:, 3] > 0, table[:, 3], table[:, 1])
    blocks = _busy(moments)
    if len(blocks) < BLOCKS:
        raise ValueError(
            f"{path}: {len(rows)} jobs that ran are in {len(blocks)} busy blocks of two days, in which {LEAST} jobs or "
            f"more come in every {HORIZON * STEP / 3600:.0f} hours; at least {BLOCKS} such blocks are needed"
        )
    facts = f"{len(rows)} jobs of {largest} processors, {left} that never ran left out, {len(blocks)} busy blocks"
    facts += f", {cut} jobs of more than all processors taken as of all" if cut else ""
    return JobLog(moments, sizes, table[:, 1], asked, blocks, facts)


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
        if path.name.lower().endswith(".gz"):
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path} cannot be read: {type(error).__name__}: {error}") from error
    return content.decode("utf-8", errors="replace")  # comments may hold anything; jobs are numbers


def _job(path: Path, number: int, line: str) -> tuple[int, int, int, int]:
    """Submission, run time, processors, requested time."""
    words = line.split()
    if len(words) != FIELDS:
        raise ValueError(
            f"{path}, line {number}: {len(words)} fields; a job of the Standard Workload Format has {FIELDS}"
        )
    found = {}
    for place in (SUBMITTED, RUNTIME, GIVEN, ASKED, REQUESTED):
        try:
            found[place] = int(float(words[place]))
        except (ValueError, OverflowError):
            raise ValueError(
                f"{path}, line {number}: field {place + 1} must be a number, got {words[place]!r}"
            ) from None
        if found[place] > HIGHEST:
            raise ValueError(f"{path}, line {number}: field {place + 1} must be at most {HIGHEST}, got {words[place]}")
    if found[SUBMITTED] < 0:
        raise ValueError(
            f"{path}, line {number}: field 2, the time of submission, must be 0 or more seconds, got {words[SUBMITTED]}"
        )
    processors = found[GIVEN] if found[GIVEN] > 0 else found[ASKED]
    return found[SUBMITTED], found[RUNTIME], processors, found[REQUESTED]


def _largest(path: Path, header: dict[str, str]) -> int:
    said = re.match(r"\d+", header.get("MaxProcs", ""))
    if said is None or not 1 <= int(said[0]) <= HIGHEST:
        raise ValueError(
            f"{path}: the header must say how many processors the machine has, in a line '; MaxProcs: 128'; got "
            f"{header.get('MaxProcs')!r}"
        )
    return int(said[0])


def _clock(path: Path, header: dict[str, str]) -> int:
    """Seconds after midnight at second 0 of the log."""
    said = re.search(r"\b(\d\d):(\d\d):(\d\d)\b", header.get("StartTime", ""))
    if said is not None:
        hours, minutes, seconds = map(int, said.groups())
        if hours > 23 or minutes > 59 or seconds > 59:
            raise ValueError(f"{path}: StartTime of the header must have a time of the day, got {said[0]!r}")
        return 3600 * hours + 60 * minutes + seconds
    found = 0
    for word in ("UnixStartTime", "TimeZone"):
        try:
            found += int(header.get(word, "0"))
        except ValueError:
            raise ValueError(
                f"{path}: {word} of the header must be a whole number of seconds, got {header[word]!r}"
            ) from None
    return found % 86400


def _busy(at: NDArray[np.int64]) -> tuple[int, ...]:
    if not len(at):
        return ()
    number = int(at[-1] // (2 * DAY * STEP)) + 1
    begins = (2 * np.arange(number)[:, None] * DAY + np.arange(HOURS) * (DAY // HOURS)) * STEP
    counts = np.searchsorted(at, begins + HORIZON * STEP) - np.searchsorted(at, begins)
    return tuple(np.flatnonzero((counts >= LEAST).all(axis=1)).tolist())
