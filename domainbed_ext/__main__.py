"""``python -m domainbed_ext COMMAND ...``: DomainBed's scripts with pgrad registered.

  train      one model: DomainBed's train.py, checked before it starts
  sweep      many: DomainBed's sweep.py with launchers for cores, GPUs and Slurm, resumable
  collect    tables: DomainBed's collect_results.py, of several folders side by side
  recipes    list the recipes for sweep --recipe, or show one
  miniature  write tiny made-up image sets in the layout of the real ones
  SCRIPT     any other of domainbed/scripts (list_top_hparams, train_autolr, download, ...), with pgrad registered

A data set is one of DomainBed's, or folder:PATH for your own pictures in domain/class/*.jpg.
`train --help`, `sweep --help` and `collect --help` show DomainBed's arguments and ours.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from domainbed_ext import collect, miniature, recipes, scripts, sweep, train
from domainbed_ext.errors import Refusal, closest

COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {
    "train": train.main,
    "sweep": sweep.main,
    "collect": collect.main,
    "recipes": recipes.main,
    "miniature": miniature.main,
}


def main(argv: Sequence[str]) -> int:
    if not argv or argv[0] in ("-h", "--help"):
        print(__doc__)
        return 0 if argv else 2
    name, rest = argv[0], argv[1:]
    try:
        return COMMANDS[name](rest) if name in COMMANDS else _script(name, rest)
    except Refusal as error:
        print(f"domainbed_ext {name}: {error}", file=sys.stderr)
        return 2


def _script(name: str, argv: Sequence[str]) -> int:
    options, theirs = train.common_parser(name).parse_known_args(argv)
    root = train.prepare(options)
    known = sorted(path.stem for path in (root / "domainbed" / "scripts").glob("[!_]*.py"))
    if name not in known:
        raise Refusal(f"unknown command{closest(name, [*COMMANDS, *known])}; known: {', '.join([*COMMANDS, *known])}")
    scripts.run(name, theirs, None)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
