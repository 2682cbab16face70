"""`pgrad-bench`, or `python -m benchmarks`: the command line.

Nothing heavy is imported here: see `benchmarks.commands.words`.
"""

from __future__ import annotations

import configparser
import importlib.metadata
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import cyclopts

import benchmarks.studies.gpu
import benchmarks.studies.performance
import benchmarks.studies.physics
from benchmarks.base.called import SCRIPT
from benchmarks.commands.helping import Help, usage_error
from benchmarks.commands.say import console

USAGE = 2
"""Exit status of a command line that cannot be carried out as it stands."""

ROOT = Path(__file__).resolve().parents[1]


def version() -> str:
    """Of this checkout with its commit, of Python and of torch.

    Example:
        >>> version().split()[0]
        'pgrad-bench'
    """
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    number = setup.get("metadata", "version", fallback="of an unknown version")
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty=, changed", "--exclude=*"]
    try:
        commit = f" ({subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()})"
    except (OSError, subprocess.CalledProcessError):
        commit = ""  # no git here, or not a checkout
    torch = importlib.metadata.version("torch")
    return f"{SCRIPT} {number}{commit}, torch {torch}, Python {platform.python_version()}"


app = cyclopts.App(
    name=SCRIPT,
    help="Domain-generalization benchmarks of pgrad.",
    version=version,
    version_format="plaintext",
    help_format="plaintext",
    help_formatter=Help(),
    error_formatter=usage_error,
    console=console(),
    error_console=console(stderr=True),
)

_WORDS = {
    "quick": ("quick:quick_command", "Compare algorithms on rotated and coloured digits, in about two minutes."),
    "plan": ("sweep:plan_command", "Show the runs of a sweep and what they cost; nothing is done."),
    "sweep": ("sweep:sweep_command", "Do the runs of a sweep that are not done yet."),
    "status": ("status:status_command", "Show how far the sweeps of a store are."),
    "show": ("status:show_command", "Show all about one run: configuration, error, how to do it again."),
    "again": ("sweep:again_command", "Do some runs again, by their keys."),
    "check": ("transfer:check_command", "Find what is wrong in a store, and mend it."),
    "export": ("transfer:export_command", "Write the records of a store to a file."),
    "import": ("transfer:import_command", "Bring records into a store, DomainBed's too."),
    "data": ("data:data_command", "Prepare data sets and show them; without names, list them."),
    "algorithms": ("data:algorithms_command", "List the algorithms, or show all about some."),
    "datasets": ("data:datasets_command", "List the data sets, or show all about some."),
    "models": ("data:models_command", "List the models, or show all about some."),
    "choose": ("choose:choose_command", "From your own domains to a model: choose, expect, write a folder."),
    "choose-study": ("choose:study_command", "How far can choose be trusted? On domains that are known."),
    "predict": ("choose:predict_command", "Predict with a model that choose made."),
    "play": ("play:play_command", "Let a stored model act in the simulator of its data set."),
    "report": ("report:report_command", "Make a report of the records of sweeps."),
    "results": ("report:results_command", "Write the tables of docs/results from the records."),
    "physics": ("physics:app", benchmarks.studies.physics.__doc__),
    "analyse": ("analysis:analyse_command", "Directions of roll-outs against the Hessian's own."),
    "diagnose": ("analysis:diagnose_command", "Do components differ from the displacement?"),
    "performance": ("performance:app", benchmarks.studies.performance.__doc__),
    "gpu": ("gpu:app", benchmarks.studies.gpu.__doc__),
    "wilds": ("wilds:wilds_command", "Train on a WILDS data set and evaluate officially."),
}
for _name, (_path, _help) in _WORDS.items():  # each is imported when it is used
    app.command(f"benchmarks.commands.words.{_path}", name=_name, help=_help)
app.register_install_completion_command(help="Install the completion of a shell: bash, zsh or fish.")


def main(words: Sequence[str] | None = None) -> None:
    """Carries out a command line, by default the one of this process, and exits with its status."""
    try:
        app(words, exit_on_error=False)
    except cyclopts.CycloptsError:  # said already; the versions of the parser do not agree on the status
        sys.exit(USAGE)
    except BrokenPipeError:  # whoever reads the output may stop reading
        # Python would complain again when it closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)


if __name__ == "__main__":
    main()
