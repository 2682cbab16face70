"""The study of the outer step: its variants, its records, and what the page says about them."""

import json
import lzma
import re
from collections import defaultdict

import numpy as np
import pytest
import torch
import yaml
from scipy import stats
from torch import nn

import pgrad
from benchmarks.algorithms import ALGORITHMS, Setup
from benchmarks.base.metrics import estimate
from benchmarks.base.search import draw
from benchmarks.commands.words.data import algorithms_command
from benchmarks.studies.outer import tables
from benchmarks.sweeps.files import validated

SWEEP = tables.RECORDS.with_name("ladder.yaml")
T, UPDATES = 6, 18


@pytest.fixture(scope="module")
def sweep():
    """Validated here and not when tests are collected: its plugin adds to the registry."""
    return validated(yaml.safe_load(SWEEP.read_text(encoding="utf-8")))


@pytest.fixture
def rng():
    return np.random.default_rng(3)


@pytest.fixture(scope="module")
def records():
    return [json.loads(line) for line in lzma.decompress(tables.RECORDS.read_bytes()).splitlines()]


# --- the variants


def network():
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3)).double()


def minibatches():
    for number in range(UPDATES):
        generator = torch.Generator().manual_seed(number)
        inputs = torch.randn(8, 3, generator=generator, dtype=torch.float64) + number % 3
        yield inputs, torch.randint(3, (8,), generator=generator)


def variant(name, point=4):
    model, entry = network(), ALGORITHMS[name]
    setup = Setup(rollout_length=T, n_domains=3, updates=UPDATES)
    return model, entry.factory(model, draw(entry.space, point, 0), setup)


def weights(model):
    return nn.utils.parameters_to_vector(model.parameters()).detach()


def trained(name):
    model, algorithm = variant(name)
    for inputs, labels in minibatches():
        algorithm.update(inputs, labels)
    return weights(model)


def by_hand(make):
    model = network()
    optimizer = make(model.parameters())
    for inputs, labels in minibatches():
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs), labels).backward()
        optimizer.step()
    return weights(model)


def test_pgrad_1_is_the_swap_at_its_defaults(sweep):
    lr = draw(ALGORITHMS["pgrad-1"].space, 4, 0)["lr"]
    expected = by_hand(lambda params: pgrad.PGrad(params, lr, T))
    torch.testing.assert_close(trained("pgrad-1"), expected, rtol=0, atol=1e-9)


def test_the_displacement_with_outer_lr_1_is_adam_itself(sweep):
    lr = draw(ALGORITHMS["reptile-1"].space, 4, 0)["lr"]
    expected = by_hand(lambda params: torch.optim.Adam(params, lr))
    for name in ("reptile-1", "adam"):
        torch.testing.assert_close(trained(name), expected, rtol=0, atol=1e-9)


def test_every_variant_is_what_its_name_says(sweep):
    names = [name for name in sweep.algorithms if name != "adam"]
    assert len(names) == 16
    for name in names:
        kind, outer_lr, *rest = name.split("-")
        optimizer = variant(name)[1].optimizer
        group = optimizer.outer.param_groups[0]
        assert (group["lr"], group["weight_decay"]) == (float(outer_lr), 0.0)
        assert (group["momentum"], group["nesterov"]) == ((0.9, True) if rest else (0.0, False))
        assert optimizer.inner.param_groups[0]["weight_decay"] == 0.0
        record = trained_record(name)
        assert isinstance(record, pgrad.PrincipalWeights) == (kind == "pgrad")


def trained_record(name):
    _, algorithm = variant(name)
    for inputs, labels in list(minibatches())[:T]:
        algorithm.update(inputs, labels)
    return algorithm.optimizer.last_update


def test_all_variants_try_the_same_rates_with_the_same_budget(sweep):
    runs = defaultdict(lambda: defaultdict(set))
    for run in sweep.runs():
        runs[run.dataset, run.seed, run.held_out][run.algorithm].add((run.hparams["lr"], run.budget(), run.point))
    for places in runs.values():
        assert set(places) == set(sweep.algorithms)
        assert len({frozenset(found) for found in places.values()}) == 1
    rates = {lr for found in places.values() for lr, _, _ in found}
    assert len(rates) == sweep.points
    assert max(rates) / min(rates) >= 1e3
    assert {ALGORITHMS[name].evaluations(3) for name in sweep.algorithms} == {1}


def test_the_list_of_algorithms_shows_a_grid(sweep, capsys):
    assert algorithms_command("pgrad-1") == 0
    assert "lr in turn 3e-05, 0.0001, 0.0003, 0.001" in " ".join(capsys.readouterr().out.split())


# --- the records and the page


def test_the_interval_of_a_mean_of_sets_is_welchs(rng):
    """Of two sets, a and -b: (mean a - mean b) / 2, whose interval scipy has for other reasons."""
    a, b = rng.normal(3, 1, size=4), rng.normal(1, 5, size=4)
    values = np.stack([np.append(a, np.nan), np.append(-b, -7.0)], axis=1)
    b = np.append(b, 7.0)
    found = tables.mean_of_sets(values)
    expected = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
    assert found.mean == pytest.approx((a.mean() - b.mean()) / 2)
    assert (found.low, found.high) == pytest.approx((expected.low / 2, expected.high / 2))
    assert found.n == 9


def test_one_set_has_the_interval_of_the_laboratory(rng):
    values = rng.normal(size=5)
    found, expected = tables.mean_of_sets(values[:, None]), estimate(values)
    assert (found.mean, found.low, found.high) == pytest.approx((expected.mean, expected.low, expected.high))
    assert tables.mean_of_sets(np.full((3, 2), 4.0)).low == 4.0
    assert tables.mean_of_sets(np.array([[1.0, np.nan], [2.0, 3.0]])).n == 0


@pytest.mark.slow
def test_the_records_are_the_runs_of_the_sweep(sweep, records):
    assert sorted(record["key"] for record in records) == sorted(run.key() for run in sweep.runs())


@pytest.mark.slow
def test_the_tables_are_those_of_the_records():
    page = tables.PAGE.read_text(encoding="utf-8")
    assert page.split(tables.BEGIN)[1].split(tables.END)[0].strip() == tables.tables(tables.selection())


def chosen(records, algorithm):
    """(data set, seed, held-out domain) to held-out score, %, and rate: best checkpoint of the best point, by hand."""
    best = {}
    for record in records:
        config = record["config"]
        if config["algorithm"] == algorithm and record["status"] == "finished":
            place = config["dataset"], config["seed"], config["held_out"]
            curves = record["curves"]
            at = int(np.argmax(curves["validation"]))
            found = (curves["validation"][at], -config["point"], 100 * curves["held_out"][at], config["hparams"]["lr"])
            best[place] = max(best.get(place, found), found)
    return {place: found[2:] for place, found in best.items()}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "reference"), [("pgrad-0.3", "pgrad-1"), ("reptile-0.7-nesterov", "reptile-1")])
def test_a_line_by_hand(records, name, reference):
    ours, theirs = chosen(records, name), chosen(records, reference)
    assert set(ours) == set(theirs)
    differences = defaultdict(lambda: defaultdict(list))
    for dataset, seed, held_out in ours:
        place = dataset, seed, held_out
        differences[dataset][seed].append(ours[place][0] - theirs[place][0])
    rates = [rate for _, rate in ours.values()]
    line = re.search(rf"^\| {re.escape(name)} +\|(.*)$", tables.PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1]
    mean, pooled, *rest, _, median, ends = (cell.strip(" *").replace("−", "-") for cell in line.split("|")[:-1])
    # As many held-out domains in every data set, so that the plain mean over all is the mean of the sets.
    assert float(mean.split()[0]) == pytest.approx(np.mean([score for score, _ in ours.values()]), abs=0.051)
    for cell, of_seeds in zip(rest, differences.values(), strict=True):
        values = [np.mean(each) for each in of_seeds.values()]
        low, high = stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))
        printed = [float(each) for each in re.findall(r"[+-]\d+\.\d", cell)]
        assert printed == pytest.approx([np.mean(values), low, high], abs=0.051)
    printed = float(pooled.split()[0])
    assert printed == pytest.approx(np.mean([ours[place][0] - theirs[place][0] for place in ours]), abs=0.051)
    assert float(median) == pytest.approx(
        stats.gmean(sorted(rates)[(len(rates) - 1) // 2 : len(rates) // 2 + 1]), rel=0.05
    )
    assert ends == f"{rates.count(3e-5)} low, {rates.count(0.3)} high of {len(rates)}"


def test_the_counts_in_the_words_are_those_of_the_tables():
    page = tables.PAGE.read_text(encoding="utf-8")
    words = " ".join(page.split("# Which outer step")[1].split("\n## ")[0].split())
    printed = page.split(tables.BEGIN)[1].split("### PGrad against")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in printed.splitlines() if "±" in line]
    ladder = [row[2] for row in rows if row[2] and row[0] != "adam"]
    single = [cell for row in rows if row[2] and row[0] != "adam" for cell in row[3:7]]
    assert (len(ladder), sum("**" in cell for cell in ladder)) == (14, 0)
    assert "Of the 14 differences to the default over the four sets none has" in words
    signs = [cell[2] for cell in single if cell.startswith("**")]
    assert (len(single), signs.count("+"), signs.count("−")) == (56, 2, 2)
    assert "Of the 56 on single sets two lie above it and two below it" in words
    ends = {row[0]: [int(each) for each in re.findall(r"\d+", row[-1])] for row in rows}
    assert [sum(found[at] for found in ends.values()) for at in range(3)] == [4, 1, 408]
    assert "Of 408 choices five lie at an end of the grid (one at the upper" in words
