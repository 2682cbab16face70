"""The command line in a real terminal, or what looks like one to it."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios

from tests.benchmarks.toy_sweeps import ROOT

CODES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


def in_terminal(*words, columns, cwd=ROOT):
    """Exit status and what the terminal got, as lines without codes."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR")}
    environment |= {"TERM": "xterm", "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "benchmarks", *map(str, words)]
    process = subprocess.Popen(command, cwd=cwd, env=environment, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    parts = []
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # Linux says so when the last writer is gone
            break
        if not part:
            break
        parts.append(part)
    os.close(ours)
    text = CODES.sub("", b"".join(parts).decode()).replace("\r\n", "\n")
    return process.wait(), text.splitlines()
