"""Refits: the same training by hand, and what they refuse."""

import pytest
import torch

from benchmarks.base.metrics import accuracy
from benchmarks.base.seeds import seed_from
from benchmarks.datasets import DATASETS
from benchmarks.models import build
from benchmarks.runs.config import RunConfig
from benchmarks.runs.outputs import Place
from benchmarks.runs.protocol import batches, leave_out
from benchmarks.runs.refit import refit_of, refits
from benchmarks.runs.rules import Rule
from benchmarks.runs.runner import run
from benchmarks.runs.selection import Choices, select_all

SEARCH = RunConfig(
    dataset="coloured-digits",
    algorithm="erm",
    held_out="80%",
    seed=1,
    point=0,
    hparams={"lr": 0.02, "weight_decay": 0.0},
    rollouts=8,
    evaluate_every=1,
    batch_size=8,
    splits=2,
    width=8,
)
LENGTH = 4  # gradient evaluations of a roll-out: two training domains, two splits


def done(config):
    record = run(config)
    assert record["status"] == "finished", record.get("traceback")
    return record


def choice(record, rule="validation"):
    config = record["config"]
    return Choices([record], [config["algorithm"]]).choose(Rule(rule), config["held_out"])[config["seed"]]


def by_hand(config, steps):
    """Adam on training and validation parts, written out: the weights after every step, the model and its split."""
    data = DATASETS[config.dataset].factory()
    split = leave_out(data, config.held_out, config.seed, refit=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_from("initialisation", config.dataset, config.seed))
        model = build(config, tuple(split.inputs.shape[1:]), data.n_outputs, None)
    optimizer = torch.optim.Adam(model.parameters(), lr=config.hparams["lr"], fused=True)
    seed = seed_from("order", config.dataset, "+".join(config.held_out), config.seed)
    order = batches("pooled", split.domains, config.batch_size, config.splits, seed=seed)
    weights = []
    for _, index in zip(range(steps), order, strict=False):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(split.inputs[index]), split.labels[index]).backward()
        optimizer.step()
        weights.append([parameter.detach().clone() for parameter in model.parameters()])
    return weights, model, split


def score(model, split, weights):
    with torch.no_grad():
        for parameter, value in zip(model.parameters(), weights, strict=True):
            parameter.copy_(value)
        domain = split.held_out[0]
        return accuracy(model(domain.inputs), domain.labels)


def test_a_refit_is_the_same_training_with_more_examples():
    search = done(SEARCH)
    selected = choice(search)
    config = refit_of(selected)
    assert config.refit == selected.number + 1
    assert config.model_copy(update={"refit": None}) == SEARCH
    record = done(config)
    weights, model, split = by_hand(SEARCH, config.refit * LENGTH)
    assert record["curves"]["step"] == [config.refit * LENGTH]
    assert record["curves"]["held_out"] == [score(model, split, weights[-1])]
    assert record["curves"]["validation"] == [None]
    assert set(record["domain_curves"]) == {"80%"}
    (row,) = select_all([search, record])
    assert row["held_out_accuracy"] == selected.held_out
    assert row["refit_accuracy"] == record["curves"]["held_out"][-1]


def window(losses, tolerance, patience=3, overfit=6):
    """First and last segment of SWAD's mean, from its definition; None before there is one."""
    for first in range(len(losses) - patience + 1):
        if losses[first] == min(losses[first : first + patience]):
            break
    else:
        return None
    threshold = (1 + tolerance) * sum(losses[first : first + patience]) / patience
    last = first + patience - 1
    inside = [n for n in range(first, last + 1) if losses[n] <= threshold]
    for n in range(last + 1, len(losses)):
        if losses[n] <= threshold:
            inside.append(n)
        if n - inside[-1] >= overfit:
            break
    return first, inside[-1]


def test_swad_takes_its_window_from_the_chosen_run():
    config = SEARCH.model_copy(update={"algorithm": "erm-swad", "hparams": {**SEARCH.hparams, "tolerance": 0.3}})
    config = RunConfig.model_validate(config.model_dump())
    search = done(config)
    losses = search["diagnostics"]["validation loss in training"]
    assert len(losses) == config.rollouts
    again = refit_of(choice(search, "last"))
    assert again.valley == tuple(losses)
    record = done(again)
    first, last = window(losses, 0.3)
    weights, model, split = by_hand(config, config.rollouts * LENGTH)
    inside = weights[first * LENGTH : (last + 1) * LENGTH]
    mean = [torch.stack(values).double().mean(dim=0).float() for values in zip(*inside, strict=True)]
    assert record["curves"]["held_out"][-1] == pytest.approx(score(model, split, mean), abs=0.005)


def test_what_asks_for_validation_without_having_been_told_is_refused_by_name():
    config = {**SEARCH.model_dump(), "algorithm": "erm-swad", "refit": 4}
    config["hparams"] = {**SEARCH.hparams, "tolerance": 0.3}
    record = run(RunConfig.model_validate(config))
    assert record["status"] == "failed"
    assert (
        "erm-swad asks for the validation loss while it trains, and a refit has no validation part" in record["error"]
    )
    record = run(RunConfig.model_validate({**config, "valley": (0.5, 0.4)}))
    assert "got 2 until roll-out 4" in record["error"]


def test_swa_keeps_the_schedule_of_the_search():
    """The mean begins at half of the search, not at half of the refit."""
    config = {**SEARCH.model_dump(), "algorithm": "erm-swa", "hparams": {**SEARCH.hparams, "average_start": 0.5}}
    record = done(RunConfig.model_validate({**config, "refit": 6}))
    weights, model, split = by_hand(SEARCH, 6 * LENGTH)
    inside = weights[4 * LENGTH :]
    mean = [torch.stack(values).double().mean(dim=0).float() for values in zip(*inside, strict=True)]
    assert record["curves"]["held_out"][-1] == pytest.approx(score(model, split, mean), abs=0.005)


def test_the_fields_of_a_refit():
    again = SEARCH.model_copy(update={"refit": 3})
    assert again.key() != SEARCH.key()
    assert again.config() == {**SEARCH.config(), "refit": 3}
    assert again.budget() == 3 * LENGTH
    told = RunConfig.model_validate({**SEARCH.model_dump(), "refit": 3, "valley": [0.1, 0.2, 0.3]})
    assert RunConfig.model_validate_json(told.model_dump_json()).key() == told.key()
    for wrong in ({"refit": 9}, {"refit": 0}, {"valley": [0.5]}):
        with pytest.raises(ValueError, match="refit"):
            RunConfig.model_validate({**SEARCH.model_dump(), **wrong})


def test_refits_are_shared_by_the_rules_that_choose_alike():
    record = done(SEARCH)
    reported = {"coloured-digits": [frozenset({"80%"})]}
    found = refits([record], ["validation", "validation-shared", "oracle", "last"], reported, ["erm"])
    assert [run.refit for run in found] == list(dict.fromkeys([choice(record).number + 1, 8]))
    assert refits([record], ["oracle"], reported, ["erm"]) == []
    assert refits([record], ["last"], reported, ["sam"]) == []
    assert refits([record], ["last"], {"coloured-digits": [frozenset({"90%"})]}, ["erm"]) == []
    assert [run.refit for run in refits([record], ["last"], reported, ["any"], {"any": ["erm"]})] == [8]


def test_the_kept_weights_of_a_refit_are_those_of_its_end(tmp_path):
    config = SEARCH.model_copy(update={"refit": 3})
    record = run(config, Place(tmp_path, weights=True))
    kept = torch.load(tmp_path / record["model_file"], weights_only=True)
    weights, _, _ = by_hand(SEARCH, 3 * LENGTH)
    for value, expected in zip(kept["model"].values(), weights[-1], strict=True):
        assert torch.equal(value, expected.to(torch.bfloat16))


def test_the_validation_loss_is_that_of_the_evaluated_model():
    """For EMA: of the average, where SWAD asks for that of the model in training."""
    config = {**SEARCH.model_dump(), "algorithm": "erm-ema", "hparams": {**SEARCH.hparams, "decay": 0.9}, "rollouts": 1}
    record = done(RunConfig.model_validate(config))
    data = DATASETS[SEARCH.dataset].factory()
    split = leave_out(data, SEARCH.held_out, SEARCH.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_from("initialisation", SEARCH.dataset, SEARCH.seed))
        model = build(SEARCH, tuple(split.inputs.shape[1:]), data.n_outputs, None)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02, fused=True)
    order = batches("pooled", split.domains, 8, 2, seed=seed_from("order", SEARCH.dataset, "80%", 1))
    average = None
    for _, index in zip(range(LENGTH), order, strict=False):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(split.inputs[index]), split.labels[index]).backward()
        optimizer.step()
        now = [parameter.detach().double() for parameter in model.parameters()]
        average = now if average is None else [0.9 * a + 0.1 * b for a, b in zip(average, now, strict=True)]
    with torch.no_grad():
        for parameter, value in zip(model.parameters(), average, strict=True):
            parameter.copy_(value)
        losses = [torch.nn.functional.cross_entropy(model(d.inputs), d.labels).item() for d in split.validation]
    assert record["diagnostics"]["validation loss"] == pytest.approx([sum(losses) / len(losses)], rel=1e-5)
    assert "validation loss in training" not in record["diagnostics"]
