"""Plays the models that validation chose, on the domain that each had held out: agreement is not success.

    python -m benchmarks.studies.decisions.played runs/decisions benchmarks/studies/decisions/history.yaml --episodes 20

One line for each data set, algorithm, held-out domain and seed goes into ``records/FILE-played.jsonl``; lines that are
there are not made again. Lines of other runs, or of another number of episodes, are refused.
"""

from __future__ import annotations

import json
from pathlib import Path

import cyclopts
import torch

from benchmarks.datasets.decisions.games import as_teacher, at_random
from benchmarks.reports.selection import Selection
from benchmarks.runs.rules import VALIDATION
from benchmarks.studies.play import load, play_model, play_policy
from benchmarks.studies.sweep_files import content_of, of_sweep, sweep_of

PLACE = ("dataset", "algorithm", "held_out", "seed")


def path_of(file: Path) -> Path:
    """Where the lines of a sweep file stand."""
    return file.parent / "records" / f"{file.stem}-played.jsonl"


def main(source: Path, file: Path, *algorithms: str, episodes: int = 20) -> None:
    """Play what was chosen.

    Parameters
    ----------
    source:
        Folder of the sweep, with its weights.
    file:
        The sweep file.
    algorithms:
        Those whose models play; erm-ema and pgrad without them.
    episodes:
        Of each model.
    """
    torch.set_num_threads(1)  # the networks are too small for more
    records = of_sweep(sweep_of(file), str(source))
    selection = Selection.of(records, VALIDATION, sweeps=[content_of(file)])
    path = path_of(file)
    done = {tuple(line[name] for name in PLACE): (line["run"], line["episodes"]) for line in played(file)}
    path.parent.mkdir(parents=True, exist_ok=True)
    for dataset in selection.datasets:
        for algorithm in algorithms or ("erm-ema", "pgrad"):
            for choice, record in selection.chosen_runs(dataset, algorithm):
                place = (dataset, algorithm, choice.held_out, choice.seed)
                if done.get(place, (record["key"], episodes)) != (record["key"], episodes):
                    raise SystemExit(
                        f"{path}: {' '.join(map(str, place))} was played by run {done[place][0]} in {done[place][1]} "
                        f"episodes, and now it is run {record['key']} in {episodes}; move the file away to play anew"
                    )
                if place in done:
                    continue
                if record.get("model_file") is None:
                    raise SystemExit(
                        f"{source} kept no weights of run {record['key']}; sweep with outputs.weights=best"
                    )
                stored = load(source / record["model_file"])
                domain = choice.held_out
                policies = {"teacher": as_teacher, "random": at_random}
                found = {name: play_policy(stored, domain, episodes, own, name) for name, own in policies.items()}
                found["model"] = play_model(stored, domain, episodes)
                told = {name: sum(own.outcomes) / len(own.outcomes) for name, own in found.items()}
                line = {**dict(zip(PLACE, place, strict=True)), "run": record["key"], "episodes": episodes, **told}
                with path.open("a", encoding="utf-8") as lines:
                    lines.write(json.dumps(line) + "\n")
                print(json.dumps(line), flush=True)


def played(file: Path) -> list[dict[str, object]]:
    """The lines of a sweep file; none if nothing was played."""
    path = path_of(file)
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


if __name__ == "__main__":
    cyclopts.run(main)
