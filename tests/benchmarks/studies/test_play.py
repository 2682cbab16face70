"""A stored model plays: it sees what it saw in training, and takes what it scores best."""

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.base.errors import ConfigError
from benchmarks.base.values import BINS
from benchmarks.datasets import DATASETS
from benchmarks.datasets.cache import Built
from benchmarks.datasets.decisions import SETS
from benchmarks.datasets.decisions.games import as_teacher, at_random
from benchmarks.datasets.decisions.sets import DecisionSet, Play
from benchmarks.datasets.decisions.steps import Episode, Step, windows
from benchmarks.models.decisions import OptionScorer
from benchmarks.runs.config import RunConfig
from benchmarks.runs.outputs import Place
from benchmarks.runs.runner import run
from benchmarks.studies.play import load, play_model, play_policy, rendered, rows, write
from benchmarks.studies.play.episodes import _choices, watched
from benchmarks.studies.play.table import interval
from tests.benchmarks.datasets.decisions.worlds import Line, episodes

DOMAINS = ("a", "b", "c")


def world(steps=4):
    return DecisionSet(
        name="line",
        domains=DOMAINS,
        build=lambda options: Built(windows(episodes(number=40), DOMAINS, steps, 1.0, "uint8"), {}),
        description="a line",
        licence="none",
        source="none",
        play=lambda options: Play(lambda domain, seed: Line(domain, 90_000 + seed), at_random),
    )


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """The weights of a run on a world, in the output folder of a sweep."""
    monkeypatch.setenv("PGRAD_DATA", str(tmp_path / "cache"))
    monkeypatch.setitem(SETS, "line", world())
    monkeypatch.setitem(DATASETS, "line", world().entry())
    settings = {"rollouts": 25, "evaluate_every": 25, "batch_size": 16, "splits": 2, "model": "decisions", "width": 32}
    hparams = {"lr": 3e-3, "weight_decay": 0.0}
    config = RunConfig(dataset="line", algorithm="erm", held_out=("c",), seed=0, point=0, hparams=hparams, **settings)
    outcome = run(config, Place(tmp_path, weights=True))
    assert outcome["status"] == "finished", outcome["traceback"]
    return tmp_path / outcome["model_file"]


def test_it_plays_better_than_chance(weights):
    stored = load(weights)
    for domain in DOMAINS:
        model = play_model(stored, domain, 40)
        chance = play_policy(stored, domain, 40, at_random, "random")
        assert play_policy(stored, domain, 40, as_teacher, "teacher").outcomes == (1.0,) * 40
        assert np.mean(model.outcomes) > np.mean(chance.outcomes) + 0.2
        assert model.agreed <= model.asked == model.steps
    assert play_model(stored, "c", 40) == play_model(stored, "c", 40)


def test_it_sees_what_it_saw_in_training(weights):
    """Choices while playing are those on the windows of the same episodes, cut as in training."""
    stored = load(weights)
    wandering = OptionScorer((4, 14 + 3, 1), 3 + BINS, 32).eval()  # it has learned nothing, and gets nowhere
    stored = dataclasses.replace(stored, model=wandering)
    games = [Line("a", 90_000 + seed) for seed in range(12)]
    logs = [[] for _ in games]
    for alive, choices in _choices(stored, games):
        for number, choice in zip(alive, choices, strict=True):
            logs[number].append(Step(games[number].view(), choice, choice, 0.0))
            games[number].act(choice)
    assert max(len(steps) for steps in logs) > stored.window  # some go on in a second window
    found = [Episode("a", str(number), steps) for number, steps in enumerate(logs)]
    data = windows([*found, *episodes(("b", "c"), number=1)], DOMAINS, stored.window, 1.0, "uint8")
    inputs, labels = data.domains[0].inputs, data.domains[0].labels
    with torch.inference_mode():
        said = stored.model(inputs)[..., :3].argmax(-1)
    there = labels[..., 0] >= 0
    assert (said[there] == labels[..., 0][there]).double().mean() > 0.99


def test_the_table(weights):
    stored = load(weights)
    players = {"model": play_model(stored, "c", 5), "random": play_policy(stored, "c", 5, at_random, "random")}
    (row,) = rows({"c": players}, held_out=["c"])
    assert row["in training"] == "no"
    assert row["model"].endswith("]")
    assert 0 <= float(row["model's agreement"]) <= 1
    text = list(rendered(stored, "c", 0))
    assert "@" in text[0]
    assert text[-1].startswith("success: ")


class Drawn(Line):
    """A line with pictures."""

    def picture(self):
        shown = np.zeros((12 + self.time % 2, 70, 3), dtype=np.uint8)
        shown[:, 10 * self.place : 10 * self.place + 10] = (255, 0, 0)
        return shown


def test_an_episode_in_a_file(weights, tmp_path, said):
    stored = load(weights)
    steps = sum(choice is not None for _, choice in watched(stored, "c", 0))
    write(stored, "c", tmp_path / "new/a.txt")
    text = (tmp_path / "new/a.txt").read_text().splitlines()
    assert sum(line.startswith("  -> ") for line in text) == steps
    with pytest.raises(ConfigError, match=r"line has no pictures, its episodes are text: name a file \.txt"):
        write(stored, "c", tmp_path / "a.gif")
    drawn = dataclasses.replace(stored, play=Play(lambda domain, seed: Drawn(domain, 90_000 + seed), at_random))
    write(drawn, "c", tmp_path / "a.gif")
    with Image.open(tmp_path / "a.gif") as film:
        assert film.size == (70, 13)
        assert film.n_frames <= steps + 1  # pictures that are the same become one
        assert film.convert("RGB").getpixel((35, 5)) == (255, 0, 0)  # it begins in the middle
    write(drawn, "c", tmp_path / "a.PNG")
    with Image.open(tmp_path / "a.PNG") as last:
        place = list(watched(drawn, "c", 0))[-1][0].place
        assert last.getpixel((10 * place + 5, 5)) == (255, 0, 0)
    status, out, _ = said("play", weights, "--episodes", 2, "--domains", "c", "--render", tmp_path / "b.txt")
    assert status == 0
    assert f"one episode of c: {tmp_path / 'b.txt'}" in out
    status, _, err = said("play", weights, "--render", tmp_path / "b.avi")
    assert status == 2
    assert "--render must be a file that ends in .gif, .png, .txt" in err
    assert not list(tmp_path.glob("*.partial"))


def test_intervals():
    mean, low, high = interval([0.0] * 20)
    assert (mean, low) == (0.0, pytest.approx(0.0, abs=1e-12))
    assert 0.1 < high < 0.2  # Wilson: z^2 / (n + z^2)
    assert high == pytest.approx(1.96**2 / (20 + 1.96**2), rel=1e-3)
    assert interval([1.0, 1.0, 0.5])[2] < 1.0
    values = [-0.1, 0.5, 0.4, 0.4]
    mean, low, high = interval(values)
    assert mean == pytest.approx(0.3)
    assert high - mean == pytest.approx(3.182446 * np.std(values, ddof=1) / 2, rel=1e-5)


def test_the_command(weights, said):
    status, out, _ = said("play", weights, "line", "--episodes", 5, "--domains", "c", "--show")
    assert status == 0
    assert "success of 5 episodes of line" in out
    assert "one episode of c:" in out
    status, out, _ = said("play", weights.stem, "line", "--episodes", 3, "--output", weights.parents[1])
    assert status == 0
    assert out.count("| yes") == 2


def test_what_cannot_be_played(weights, tmp_path, said, monkeypatch):
    monkeypatch.setitem(SETS, "longer", world(steps=6))
    monkeypatch.setitem(DATASETS, "longer", world(steps=6).entry())
    monkeypatch.setenv("PGRAD_DATA", str(tmp_path / "other"))
    with pytest.raises(ConfigError, match=r"holds a model for line, which does not fit longer"):
        load(weights, "longer")
    content = torch.load(weights, weights_only=True)
    content["config"]["model"] = "decisions-pixels"
    torch.save(content, tmp_path / "pixels.pt")
    with pytest.raises(ConfigError, match="a model for line, which does not fit longer: this model takes"):
        load(tmp_path / "pixels.pt", "longer")
    with pytest.raises(ConfigError, match=r"DATA: 'rotated-digits' is not known.* cannot be played"):
        load(weights, "rotated-digits")
    with pytest.raises(ConfigError, match=r"DATA: line.*option 'x' is not known"):
        load(weights, "line?x=1")
    broken = tmp_path / "x.pt"
    broken.write_bytes(b"x")
    with pytest.raises(ConfigError, match="is no file of weights of a sweep"):
        load(broken)
    torch.save({"a": torch.zeros(1)}, broken)
    with pytest.raises(ConfigError, match="it has no 'config' and 'model'"):
        load(broken)
    torch.save({"config": torch.load(weights, weights_only=True)["config"], "model": {"a": 1}}, broken)
    with pytest.raises(ConfigError, match="its 'model' must be tensors by name"):
        load(broken)
    content = torch.load(weights, weights_only=True)
    name = next(iter(content["model"]))
    content["model"][name] = content["model"][name] * float("nan")
    torch.save(content, broken)
    with pytest.raises(
        ConfigError, match=f"holds weights that are not finite, in {name}"
    ):  # it would choose any option
        load(broken)
    (tmp_path / "log.jsonl").write_text("{}")
    with pytest.raises(ConfigError, match=r"DATA: decisions:.*log\.jsonl is a log, and a log cannot be played"):
        load(weights, f"decisions:{tmp_path / 'log.jsonl'}")
    status, _, err = said("play", "nothing", "--output", tmp_path)
    assert status == 2
    assert "must be a file of weights, or the key of a run" in err
