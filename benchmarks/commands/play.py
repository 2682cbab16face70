"""Does ``play``."""

from __future__ import annotations

from pathlib import Path

import torch
from tabulate import tabulate

from benchmarks.base.errors import ConfigError, require_known
from benchmarks.commands import say
from benchmarks.datasets.decisions.games import as_teacher, at_random
from benchmarks.datasets.fetch import FetchError
from benchmarks.studies.play import ENDINGS, Played, load, play_model, play_policy, rendered, rows, write


def play_command(
    model: str,
    dataset: str | None,
    *,
    episodes: int,
    domains: tuple[str, ...],
    show: bool,
    render: Path | None,
    output: Path,
) -> int:
    """See `benchmarks.commands.words.play`."""
    torch.set_num_threads(1)  # the networks are too small for more
    console = say.console()
    if render is not None and render.suffix.lower() not in ENDINGS:
        raise ConfigError(f"--render must be a file that ends in {', '.join(ENDINGS)}; got {render}")
    try:
        stored = load(_file(model, output), dataset)
        domains = domains or stored.domains
        require_known("--domains", domains, stored.domains)
        own = stored.name.partition("?")[0] == stored.config.dataset.partition("?")[0]
        held_out = stored.config.held_out if own else stored.domains
        found: dict[str, dict[str, Played]] = {}
        for domain in domains:
            policies = {"teacher": as_teacher, "random": at_random, "log": stored.play.logged}
            others = {name: play_policy(stored, domain, episodes, own, name) for name, own in policies.items()}
            found[domain] = {"model": play_model(stored, domain, episodes), **others}
        table = rows(found, held_out)
        say.line(console, f"{stored.play.outcome} of {episodes} episodes of {stored.name}: mean and 95 % interval")
        say.raw(console, tabulate(table, headers="keys", tablefmt="github", disable_numparse=True))
        chosen = next((name for name in domains if name in held_out), domains[0])
        if show:
            say.line(console, f"one episode of {chosen}:")
            for text in rendered(stored, chosen, seed=0):
                say.raw(console, text)
        if render is not None:
            write(stored, chosen, render)
            say.line(console, f"one episode of {chosen}: {render}")
    except (FetchError, ImportError) as error:
        raise ConfigError(str(error)) from error
    return 0


def _file(model: str, output: Path) -> Path:
    """A file of weights by its path, or by the key of its run."""
    path = Path(model)
    if path.is_file():
        return path
    found = sorted((output / "weights").glob(f"{model}*.pt")) if model.isalnum() else []
    if len(found) != 1:
        known = ", ".join(each.stem for each in found) or "none"
        raise ConfigError(
            f"MODEL: {model} must be a file of weights, or the key of a run that kept its weights in "
            f"{output / 'weights'} (--set outputs.weights=best); found there: {known}"
        )
    return found[0]
