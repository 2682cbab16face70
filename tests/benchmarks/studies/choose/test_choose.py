"""A choice from a table to a folder, on one worker: what is in the folder is what was found."""

import io
import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from rich.console import Console

from benchmarks.base.errors import ConfigError
from benchmarks.runs.model_folder import load, predict
from benchmarks.studies.choose.expectation import over_domains
from benchmarks.studies.choose.run import Asked, choose, settings_of
from benchmarks.studies.choose.writing import whole_folder
from benchmarks.sweeps.store import Store
from tests.benchmarks.studies.choose.toys import TINY, patients

pytestmark = pytest.mark.slow


def said(asked):
    page = Console(file=io.StringIO(), width=10_000)
    return choose(asked, page), page.file.getvalue()


@pytest.fixture(scope="module")
def chosen(tmp_path_factory):
    """A choice, done once."""
    place = tmp_path_factory.mktemp("choose")
    name = patients(place / "patients.csv")
    asked = Asked(name, 600.0, place / "out", recipe=TINY)
    done, text = said(asked)
    return asked, done, text


def test_folder_has_all_of_it(chosen):
    asked, done, text = chosen
    names = {path.name for path in (asked.output / "model").iterdir()}
    assert names == {
        *("model.json", "model.safetensors", "seen.safetensors", "model_card.md", "expectation.png"),
        *("held_out.parquet", "train.py"),
    }
    assert "rung 1 of 2, 3 candidates: 30 runs" in text  # 4 domains and 6 pairs, for 3 candidates
    assert done.folder == asked.output / "model"
    assert not [path for path in asked.output.iterdir() if "partial" in path.name or path.name.endswith(".old")]


def test_two_workers_find_the_same(chosen, tmp_path):
    """Processes of their own, to which everything is handed over."""
    asked, done, _ = chosen
    again, _ = said(Asked(asked.data, 600.0, tmp_path / "out", workers=2, recipe=TINY))
    assert again.about.expectation == done.about.expectation
    with Store(tmp_path / "out" / "store.sqlite") as store:
        assert {attempt["worker"].split("-")[0] for one in store.records() for attempt in one["attempts"]} == {"local"}


def test_expectation_is_what_the_held_out_predictions_say(chosen):
    asked, done, _ = chosen
    table = pd.read_parquet(done.folder / "held_out.parquet")
    values = []
    for name, own in table.groupby("domain"):
        value = (own.prediction == own.truth).groupby(own.seed).mean().mean()
        assert done.about.expectation["domains"][name]["value"] == pytest.approx(value)
        values.append(value)
    assert done.about.expectation["mean"] == pytest.approx(np.mean(values))
    assert done.about.expectation["worst"]["value"] == pytest.approx(min(values))
    assert len(table) == 2 * 200  # two seeds of every example
    frame = pd.read_csv(asked.data.removeprefix("table:").partition("?")[0])
    rows = table["row"].astype(int) - 1
    assert (frame.outcome.to_numpy()[rows] == table.truth).all()
    assert (frame.site.to_numpy()[rows] == table.domain).all()


def test_baselines_are_those_of_the_data(chosen):
    asked, done, _ = chosen
    frame = pd.read_csv(asked.data.removeprefix("table:").partition("?")[0])
    for name, own in done.about.expectation["domains"].items():
        majority = frame.outcome[frame.site != name].mode()[0]
        assert own["constant"] == pytest.approx((frame.outcome[frame.site == name] == majority).mean())
        low, high = own["interval"]
        assert low <= own["value"] <= high
        assert own["promised"] is not None
    over = done.about.expectation["over_plain_erm"]["mean"]
    domains = done.about.expectation["domains"].values()
    assert over == pytest.approx(np.mean([own["choice"] - own["plain_erm"] for own in domains]))
    assert done.about.choice["plain_erm"] == (over <= 0 or done.verdict.same)


def test_records_of_the_refits_say_the_same_as_the_expectation(chosen):
    asked, done, _ = chosen
    with Store(str(asked.output / "store.sqlite")) as store:
        records = [record for record in store.records() if record["config"].get("refit")]
    for name, own in done.about.expectation["domains"].items():
        found = {}
        for record in records:
            config = record["config"]
            if config["held_out"] == name:
                way = config["algorithm"], config["point"], config["refit"]
                found.setdefault(way, []).append(record["curves"]["held_out"][-1])
        assert 1 <= len(found) <= 2  # the choice and plain ERM, which may be the same
        means = [np.mean(values) for values in found.values()]
        assert any(value == pytest.approx(own["choice"]) for value in means)
        assert any(value == pytest.approx(own["plain_erm"]) for value in means)


def test_model_of_the_folder_predicts_its_own_table(chosen, tmp_path):
    asked, _, _ = chosen
    path = asked.data.removeprefix("table:").partition("?")[0]
    found = predict(load(asked.output), path)
    frame = pd.read_csv(path)
    assert (found.table().prediction == frame.outcome).mean() > 0.6
    assert found.unlike == pytest.approx(1.0, abs=0.2)
    [(told, warns)] = found.warnings()
    assert "Unlikeness to the training examples" in told
    assert not warns
    frame.assign(age=frame.age + 500).to_csv(tmp_path / "far.csv", index=False)
    [(told, warns)] = predict(load(asked.output), str(tmp_path / "far.csv")).warnings()
    assert warns
    assert told.startswith("UNLIKE ALL THAT WAS SEEN")


def test_train_script_of_the_folder_makes_the_model_again(chosen, tmp_path):
    asked, done, _ = chosen
    shutil.copytree(asked.output, tmp_path / "out")
    namespace = {"__file__": str(tmp_path / "out/model/train.py")}
    exec((tmp_path / "out/model/train.py").read_text(), namespace)
    again = torch.load(tmp_path / "out/model/again.pt")
    for key, value in load(done.folder).model.network.state_dict().items():
        torch.testing.assert_close(again[key], value, rtol=0, atol=1e-6)


def test_card_says_what_was_found(chosen):
    _, done, _ = chosen
    text = (done.folder / "model_card.md").read_text()
    mean = f"{100 * done.about.expectation['mean']:.1f}"
    assert f"expect accuracy {mean}%" in text
    for name, own in done.about.expectation["domains"].items():
        assert f"| {name} | 50 | {100 * own['value']:.1f} |" in text
    assert ("is plain ERM" in text) == done.about.choice["plain_erm"]


def test_same_command_goes_on_and_does_nothing_twice(chosen):
    asked, done, _ = chosen
    before = (done.folder / "model.safetensors").read_bytes()
    with Store(str(asked.output / "store.sqlite")) as store:
        number = len(store.records())
    again, _ = said(asked)
    with Store(str(asked.output / "store.sqlite")) as store:
        assert len(store.records()) == number
        assert all(len(record["attempts"]) == 1 for record in store.records())
    assert (again.folder / "model.safetensors").read_bytes() == before
    assert again.about.expectation == done.about.expectation


def test_another_choice_in_the_same_folder_is_refused(chosen):
    asked, _, _ = chosen
    other = Asked(asked.data, 700.0, asked.output, recipe=TINY)
    with pytest.raises(ConfigError, match=r"holds another choice, with minutes 600\.0 where 700\.0 is asked for"):
        said(other)
    with pytest.raises(ConfigError, match=r"with settings .* where .*auc.* is asked for"):
        said(Asked(asked.data, 600.0, asked.output, settings={"metric": "auc"}, recipe=TINY))


def test_data_that_changed_are_refused(chosen, tmp_path):
    asked, _, _ = chosen
    shutil.copytree(asked.output, tmp_path / "out")
    request = json.loads((tmp_path / "out" / "choose.json").read_text())
    request["digest"] = "0" * 64
    (tmp_path / "out" / "choose.json").write_text(json.dumps(request))
    with pytest.raises(ConfigError, match=r"the data of the choice in .* have changed since it was begun"):
        said(Asked(asked.data, 600.0, tmp_path / "out", recipe=TINY))


def test_folder_of_a_sweep_and_a_damaged_note_are_refused(tmp_path):
    name = patients(tmp_path / "patients.csv")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "store.sqlite").touch()
    with pytest.raises(ConfigError, match="holds a sweep, and no choice"):
        said(Asked(name, 600.0, tmp_path / "out", recipe=TINY))
    (tmp_path / "out" / "choose.json").write_text("{")
    with pytest.raises(ConfigError, match=r"choose\.json is damaged"):
        said(Asked(name, 600.0, tmp_path / "out", recipe=TINY))


def test_time_that_is_too_short_says_what_would_do(tmp_path):
    name = patients(tmp_path / "patients.csv")
    with pytest.raises(
        ConfigError, match=r"--minutes 1e-06 is too short: the smallest search of 4 domains takes about"
    ):
        said(Asked(name, 1e-6, tmp_path / "out", recipe=TINY))
    assert not (tmp_path / "out" / "choose.json").exists()


def test_settings_that_are_not_to_be_set_are_refused():
    with pytest.raises(ConfigError, match="--set rollouts: cannot be set here"):
        settings_of({"rollouts": 3})
    with pytest.raises(ConfigError, match=r"--measure: .nonsense. is not known"):
        settings_of({"metric": "nonsense"})


def test_folder_appears_whole_or_not_at_all(tmp_path):
    place = tmp_path / "model"
    place.mkdir()
    (place / "old").touch()
    with pytest.raises(FileNotFoundError), whole_folder(place) as partial:
        (partial / "no" / "such").touch()
    assert [path.name for path in place.iterdir()] == ["old"]
    place.rename(tmp_path / "model.1.old")  # as a process leaves it that was killed between two moves
    (tmp_path / "model.1.partial").mkdir()
    with pytest.raises(FileNotFoundError), whole_folder(place) as partial:
        (partial / "no" / "such").touch()
    assert [path.name for path in place.iterdir()] == ["old"]
    with whole_folder(place) as partial:
        (partial / "new").touch()
    assert [path.name for path in place.iterdir()] == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_quantity_two_domains_and_one_class(tmp_path):
    """What cannot be known is said, and the rest is done."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"site": ["a", "b"] * 40, "x": rng.normal(size=80).round(3)})
    frame.assign(y=(2 * frame.x + rng.normal(size=80) / 4).round(3)).to_csv(tmp_path / "two.csv", index=False)
    done, text = said(Asked(f"table:{tmp_path / 'two.csv'}?domain=site", 600.0, tmp_path / "two", recipe=TINY))
    assert "With two domains nothing is left to leave out beside one" in text
    assert done.about.classes == ()
    assert "With two domains" in (done.folder / "model_card.md").read_text()
    found = predict(load(done.folder), str(tmp_path / "two.csv")).table()
    assert np.corrcoef(found.prediction, frame.x)[0, 1] > 0.9

    one = patients(tmp_path / "one.csv")
    table = pd.read_csv(tmp_path / "one.csv")
    table.loc[table.site == "north", "outcome"] = "ill"
    table.to_csv(tmp_path / "one.csv", index=False)
    done, text = said(Asked(one, 600.0, tmp_path / "one", settings={"metric": "auc"}, recipe=TINY))
    assert "One class only in north" in text
    assert done.about.expectation["domains"]["north"]["value"] is None
    assert done.about.expectation["mean"] is not None


def test_a_way_to_train_that_diverges_drops_out_and_the_others_are_chosen_among(tmp_path):
    """A quantity far from 1, on which SGD at its usual learning rate ends in infinity."""
    patients(tmp_path / "patients.csv", sites=("a", "b", "c"), rows=90)
    table = pd.read_csv(tmp_path / "patients.csv")
    table.assign(outcome=1e6 * table.age + table.pressure).to_csv(tmp_path / "money.csv", index=False)
    name = f"table:{tmp_path / 'money.csv'}?domain=site&target=outcome"
    done, text = said(Asked(name, 600.0, tmp_path / "out", recipe=TINY))
    assert "note: erm-sgd-ema (model 1) diverged in its first steps" in text
    assert done.about.choice["algorithm"] in ("erm", "reptile")
    assert (done.folder / "model.json").exists()


def test_intervals_over_domains_are_student_s_on_logits():
    from scipy import special, stats

    shares = np.array([0.6, 0.7, 0.9])
    of_mean, of_next = over_domains(shares, [1000, 1000, 1000])
    logits = special.logit(shares)
    low, high = stats.t.interval(0.95, 2, logits.mean(), stats.sem(logits))
    assert (of_mean.low, of_mean.high) == pytest.approx((special.expit(low), special.expit(high)))
    spread = logits.std(ddof=1) * np.sqrt(1 + 1 / 3)
    low, high = stats.t.interval(0.95, 2, logits.mean(), spread)
    assert (of_next.low, of_next.high) == pytest.approx((special.expit(low), special.expit(high)))
    assert not over_domains(np.array([0.5]))[0].known


def test_domains_that_agree_promise_no_more_than_their_examples_tell():
    """All of 24 right in three domains: what a fourth would show of a share that 24 examples cannot tell from 1."""
    from scipy import stats

    of_mean, of_next = over_domains(np.ones(3), [24, 24, 24])
    assert of_mean.high == of_next.high == 1.0
    assert 0.5 < of_next.low < of_mean.low < 0.95
    few, many = (over_domains(np.full(4, 0.8), [number] * 4)[1] for number in (50, 5000))
    for interval, number in ((few, 50), (many, 5000)):
        # Near enough to the binomial spread of a share of one domain, and of the mean of four.
        half = 1.96 * stats.binom(number, 0.8).std() / number * np.sqrt(1 + 1 / 4)
        assert interval.high - interval.low == pytest.approx(2 * half, rel=0.05)
        assert interval.low < 0.8 < interval.high
    below, above = over_domains(np.array([0.0, 0.0, 1.0]), [10, 10, 10])
    assert below.low <= 1 / 3 <= below.high
    assert (above.low, above.high) == (0.0, 1.0)
