"""``play``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from benchmarks.commands.kinds import Words, at_least
from benchmarks.commands.places import output_folder
from benchmarks.commands.say import refusing


@refusing
def play_command(
    model: str,
    dataset: str | None = None,
    *,
    episodes: Annotated[int, at_least(2)] = 50,
    domains: Words = (),
    show: bool = False,
    render: Path | None = None,
    output: Path = Path("runs/sweep"),
) -> int:
    """Let a stored model act in the simulator of a set of decisions, on episodes that no log has.

    Agreement with a teacher is not success: this tells success, beside the teacher, random choices, and whoever made
    the log. A sweep keeps its models with --set outputs.weights=best.

    Parameters
    ----------
    model:
        A file of weights, or the key of a run in the output folder.
    dataset:
        What is played; by default what the model was trained on.
    episodes:
        Of each domain.
    domains:
        Their names; by default all.
    show:
        Print one episode of a domain that was held out.
    render:
        Write it into this file, which ends in .gif (a film), .png (how it ended) or .txt; games of tools are text.
    output:
        Folder of the sweep that kept the model.
    """
    output_folder(output)
    from benchmarks.commands import play

    return play.play_command(
        model, dataset, episodes=episodes, domains=domains, show=show, render=render, output=output
    )
