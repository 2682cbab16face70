"""Lines of a sweep that nobody watches: by a clock of the test's own."""

from types import SimpleNamespace

from benchmarks.sweeps.heartbeat import Heartbeat


class Log:
    """A heartbeat, its lines without the time of day, and the clock it goes by."""

    def __init__(self):
        self.now, self.lines = 0.0, []
        self.beat = Heartbeat(lambda text: self.lines.append(text[9:]), lambda: "long", 30.0, lambda: self.now)

    def at(self, now, finished, failed=0, running=1, pending=9, lost=0, note="", **more):
        self.now = now
        counts = {"finished": finished, "failed": failed, "running": running, "pending": pending, **more}
        self.beat(SimpleNamespace(counts=counts, lost=lost, note=note))
        lines, self.lines = self.lines, []
        return lines


def test_a_line_at_the_beginning_and_then_by_the_clock():
    log = Log()
    assert log.at(0, 0) == ["0 of 10 runs done, 1 running, 9 waiting, long"]
    assert log.at(10, 1, pending=8) == []
    assert log.at(29.9, 2, pending=7) == []
    assert log.at(30, 3, pending=6) == ["3 of 10 runs done, 1 running, 6 waiting, long"]
    assert log.at(59, 3, pending=6) == []
    assert log.at(60, 3, pending=6) == ["3 of 10 runs done, 1 running, 6 waiting, long"]  # alive, nothing new


def test_what_goes_wrong_is_said_at_once_and_once():
    log = Log()
    log.at(0, 0)
    assert log.at(1, 0, failed=1, pending=8) == ["1 of 10 runs done, 1 failed, 1 running, 8 waiting, long"]
    assert log.at(2, 0, failed=1, pending=8) == []
    (line,) = log.at(3, 0, failed=1, pending=8, lost=1, note="local-1: killed")
    assert line.endswith("long; 1 attempts lost and done again; local-1: killed")
    assert log.at(4, 1, failed=1, pending=7, lost=1, note="local-1: killed") == []


def test_a_line_at_the_end_whatever_the_clock_says():
    log = Log()
    log.at(0, 9, pending=0)
    assert log.at(1, 9, running=0, pending=0, diverged=1) == ["10 of 10 runs done, 1 diverged"]
    assert log.at(2, 9, running=0, pending=0, diverged=1) == []
