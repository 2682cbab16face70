"""The Trainer of Hugging Face with PGrad: plain-loop equality, evaluation, the best model, resume."""

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.utils.data import DataLoader
from transformers import EarlyStoppingCallback, Trainer, TrainerCallback, TrainingArguments

import pgrad
from pgrad import PGrad
from pgrad.integrations.transformers import DomainTrainer
from tests.pgrad.integrations.distributed.launch import torchrun
from tests.pgrad.integrations.problem import DOMAINS, LENGTH, dataset, loader, net, optimizer, plain, sampler, vector

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*pin_memory.*"),
    pytest.mark.filterwarnings("ignore:.*fork.*"),
]


class Classifier(nn.Module):
    def __init__(self, seed=0):
        super().__init__()
        self.net = net(seed)

    def forward(self, x, labels):
        logits = self.net(x)
        return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}


class Rows(torch.utils.data.Dataset):
    def __init__(self):
        self.rows = dataset()

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        x, y = self.rows[index]
        return {"x": x, "labels": y, "domain": "not for the model"}


class Watch(TrainerCallback):
    def __init__(self):
        self.points = []

    def on_step_end(self, args, state, control, model, **_):
        self.points.append(vector(model))


def trainer(tmp_path, model, opt=None, cls=DomainTrainer, scheduled=True, callbacks=(), batches=None, **options):
    options = {
        "max_steps": 18,
        "save_strategy": "no",
        "max_grad_norm": 0.0,
        "per_device_eval_batch_size": 36,
        **options,
    }
    args = TrainingArguments(
        tmp_path, use_cpu=True, disable_tqdm=True, logging_strategy="no", report_to="none", seed=0, **options
    )
    opt = opt or optimizer(model.parameters())
    watch = Watch()
    own = {"batch_sampler": batches or sampler()} if cls is not Trainer else {}
    made = cls(
        model,
        args,
        train_dataset=Rows(),
        eval_dataset=Rows(),
        optimizers=(opt, schedule(opt) if scheduled else constant(opt)),
        callbacks=[watch, *callbacks],
        **own,
    )
    return made, watch


def schedule(opt):
    return torch.optim.lr_scheduler.CosineAnnealingLR(opt, T_max=9)


def constant(opt):
    return torch.optim.lr_scheduler.ConstantLR(opt, factor=1.0)


def from_file(folder):
    model = Classifier(seed=9)
    model.load_state_dict(load_file(f"{folder}/model.safetensors"))
    return model


def loss_of(model):
    """On all rows, as the Trainer has it: the loss of a batch counts once for each of its rows."""
    x, y = dataset().tensors
    with torch.no_grad():
        return np.repeat(model(x, y)["loss"].numpy(), len(x)).mean().item()


@pytest.mark.parametrize(
    ("options", "loop"),
    [
        ({}, {}),
        ({"max_grad_norm": 0.1}, {"clip": 0.1}),
        ({"gradient_accumulation_steps": 3, "max_steps": 3}, {"accumulate": 3}),
        ({"bf16": True}, {"dtype": torch.bfloat16}),
        ({"dataloader_num_workers": 1}, {}),
    ],
)
def test_the_trainer_is_the_plain_loop(tmp_path, options, loop):
    made, watch = trainer(tmp_path, Classifier(), **{"max_steps": 9, **options})
    made.train()
    model = net()
    opt = optimizer(model.parameters())
    expected = plain(model, opt, scheduler=schedule(opt), **loop)
    assert len(watch.points) == len(expected)
    assert all(map(torch.equal, watch.points, expected))


def test_a_loader_of_ones_own(tmp_path):
    """Without a batch_sampler the loader is that of the Trainer, or of a subclass."""

    class Own(DomainTrainer):
        def __init__(self, *args, batch_sampler, **kwargs):
            super().__init__(*args, **kwargs)

        def get_train_dataloader(self):
            return DataLoader(Rows(), batch_sampler=sampler(), collate_fn=super().get_train_dataloader().collate_fn)

    made, watch = trainer(tmp_path, Classifier(), cls=Own, scheduled=False, max_steps=9)
    made.train()
    model = net()
    assert all(map(torch.equal, watch.points, plain(model, optimizer(model.parameters()))))


# ------------------------------------------------------------------------------------------------------------- resume


@pytest.mark.parametrize(
    ("stop", "options"),  # epochs of nine batches; of five steps with accumulation, the last one of a single batch
    [
        (3, {}),
        (4, {}),
        (9, {}),
        (11, {}),
        (4, {"dataloader_num_workers": 1}),
        (13, {"dataloader_num_workers": 1}),
        (3, {"gradient_accumulation_steps": 2}),
        (5, {"gradient_accumulation_steps": 2}),
        (9, {"gradient_accumulation_steps": 2}),
    ],
)
def test_resume_goes_on_bit_for_bit(tmp_path, stop, options):
    """In the middle of a roll-out, of an epoch, in the second one; optimizer and sampler know each other."""
    options = {"max_steps": 18, "save_strategy": "steps", "save_steps": stop, **options}

    def fit(seed, **resumed):
        model, batches = Classifier(seed), sampler()
        length = 4 if "gradient_accumulation_steps" in options else batches
        made, watch = trainer(tmp_path, model, optimizer(model.parameters(), length), batches=batches, **options)
        made.train(**resumed)
        return watch.points

    whole = fit(0)
    rest = fit(1, resume_from_checkpoint=str(tmp_path / f"checkpoint-{stop}"))
    assert len(rest) == 18 - stop
    assert all(map(torch.equal, rest, whole[stop:]))


def test_resume_from_the_end_of_a_training_that_ended_in_the_middle(tmp_path):
    options = {"scheduled": False, "save_strategy": "steps", "save_steps": 3}
    made, whole = trainer(tmp_path / "whole", Classifier(), **options)
    made.train()
    made, first = trainer(tmp_path, Classifier(), **options, max_steps=7)
    made.train()
    again, rest = trainer(tmp_path, Classifier(seed=1), **options)
    again.train(resume_from_checkpoint=True)  # the Trainer saves at its end as well
    assert len(first.points) == 7
    assert all(map(torch.equal, [*first.points, *rest.points], whole.points))
    assert len(rest.points) == 11


def test_a_plain_trainer_finds_the_anchor_and_is_told_so(tmp_path):
    options = {"scheduled": False, "max_steps": 9, "save_strategy": "steps", "save_steps": 5}
    made, watch = trainer(tmp_path, Classifier(), **options)
    made.train()
    again, rest = trainer(tmp_path, Classifier(seed=1), cls=Trainer, **options)
    said = r"the weights are not those .* the 2 steps of its roll-out were dropped"
    with pytest.warns(UserWarning, match=said):
        again.train(resume_from_checkpoint=str(tmp_path / "checkpoint-5"))
    assert torch.equal(vector(from_file(tmp_path / "checkpoint-5")), watch.points[2])
    assert len(rest.points) == 4


def test_another_sampler_is_refused(tmp_path):
    options = {"max_steps": 9, "save_strategy": "steps", "save_steps": 4}
    made, _ = trainer(tmp_path, Classifier(), **options)
    made.train()
    other = pgrad.DomainBatchSampler(DOMAINS, batch_size=6, splits=2)
    again, _ = trainer(tmp_path, Classifier(), batches=other, **options)
    with pytest.raises(ValueError, match=r"a sampler with the same arguments, got batch_size=4 \(here 6\)"):
        again.train(resume_from_checkpoint=str(tmp_path / "checkpoint-4"))
    with pytest.raises(TypeError, match=r"batch_sampler must be a pgrad.DomainBatchSampler .* or None, got list"):
        trainer(tmp_path, Classifier(), batches=[[0, 1]])
    two = pgrad.DomainBatchSampler(DOMAINS, batch_size=4, generator=torch.Generator(), num_replicas=2, rank=0)
    with pytest.raises(ValueError, match=r"batch_sampler must be one of 1 ranks, got num_replicas=2: make it after"):
        trainer(tmp_path, Classifier(), batches=two)


def test_a_seed_that_differs_comes_from_the_checkpoint(tmp_path):
    options = {"max_steps": 9, "save_strategy": "steps", "save_steps": 4}
    made, whole = trainer(tmp_path, Classifier(), **options)
    made.train()
    other = pgrad.DomainBatchSampler(DOMAINS, batch_size=4, generator=torch.Generator().manual_seed(99))
    again, rest = trainer(tmp_path, Classifier(seed=1), batches=other, **options)
    again.train(resume_from_checkpoint=str(tmp_path / "checkpoint-4"))
    assert all(map(torch.equal, rest.points, whole.points[4:]))


# --------------------------------------------------------------------------------------------- evaluation, checkpoints


def test_evaluation_sees_the_anchor_and_training_does_not_notice(tmp_path):
    seen = []

    class Watched(DomainTrainer):
        def prediction_step(self, model, *args, **kwargs):
            seen.append(vector(model))
            return super().prediction_step(model, *args, **kwargs)

    made, watch = trainer(tmp_path, Classifier(), cls=Watched, eval_strategy="steps", eval_steps=4, max_steps=9)
    made.train()
    assert len(seen) == 3
    for found, end in zip(seen, [2, 5, 8], strict=True):  # after 4 and 8 steps, and at the end: the last whole roll-out
        assert torch.equal(found, watch.points[end])
    without, other = trainer(tmp_path, Classifier(), max_steps=9)
    without.train()
    assert all(map(torch.equal, watch.points, other.points))


def best(tmp_path, callbacks=(), **options):
    """A run with an outer step that keeps little of the way, so that an undoing would show."""
    model = Classifier()
    opt = PGrad(model.parameters(), lr=0.3, rollout_length=LENGTH, outer_lr=0.1, inner=torch.optim.SGD)
    chosen = {
        "max_steps": 16,  # one step into a roll-out
        "eval_strategy": "steps",
        "eval_steps": 2,
        "save_strategy": "steps",
        "save_steps": 2,
        "load_best_model_at_end": True,
        "metric_for_best_model": "loss",
        "greater_is_better": False,
    }
    made, watch = trainer(tmp_path, model, opt, scheduled=False, callbacks=callbacks, **{**chosen, **options})
    made.train()
    return made, watch, model, opt


@pytest.mark.parametrize("larger", [False, True])  # larger: the worst loss is the best, so that it is an early one
@pytest.mark.parametrize("steps", [16, 17])
def test_the_best_model_is_the_one_that_was_evaluated(tmp_path, steps, larger):
    made, watch, model, opt = best(tmp_path, max_steps=steps, greater_is_better=larger)
    logged = {entry["step"]: entry["eval_loss"] for entry in made.state.log_history if "eval_loss" in entry}
    anchors = [vector(Classifier()), *watch.points[2::3]]
    for step, loss in logged.items():  # the metric belongs to the weights of the file, and they are the anchor
        saved = from_file(tmp_path / f"checkpoint-{step}")
        assert loss_of(saved) == loss
        assert torch.equal(vector(saved), anchors[step // 3])
    chosen = (max if larger else min)(logged.values())
    assert made.state.best_metric == chosen
    assert made.evaluate()["eval_loss"] == chosen
    assert loss_of(model) == chosen
    assert torch.equal(vector(model), vector(from_file(made.state.best_model_checkpoint)))
    assert opt.rollout_position == 0
    last = steps // LENGTH
    assert torch.equal(vector(model), anchors[last]) != larger


def test_training_goes_on_from_the_best_model(tmp_path):
    """Step for step as a new optimizer from the file; the inner one has no state here."""
    made, _, model, opt = best(tmp_path, greater_is_better=True)
    other = from_file(made.state.best_model_checkpoint)
    fresh = PGrad(other.parameters(), lr=0.3, rollout_length=LENGTH, outer_lr=0.1, inner=torch.optim.SGD)
    for x, y in loader():
        for net_, opt_ in ((model, opt), (other, fresh)):
            opt_.zero_grad()
            net_(x, y)["loss"].backward()
            opt_.step()
        assert torch.equal(vector(model), vector(other))


def test_the_best_model_with_early_stopping_and_saves_of_the_best_alone(tmp_path):
    stopping = EarlyStoppingCallback(early_stopping_patience=1)
    made, watch, model, _ = best(tmp_path, callbacks=[stopping], greater_is_better=True, save_strategy="best")
    assert len(watch.points) < 16
    assert made.evaluate()["eval_loss"] == made.state.best_metric == loss_of(model)


def test_evaluation_in_a_callback_at_the_end_of_training(tmp_path):
    """It is before the Trainer's train() returns, and nothing is to be said then either."""
    found = []

    class Reports(TrainerCallback):
        def on_train_end(self, args, state, control, **_):
            found.append(made[0].evaluate()["eval_loss"])

    made = []

    class Remembered(DomainTrainer):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            made.append(self)

    model = Classifier()
    opt = PGrad(model.parameters(), lr=0.3, rollout_length=LENGTH, outer_lr=0.1)
    evaluated = {"eval_strategy": "steps", "eval_steps": 2, "save_strategy": "steps", "save_steps": 2}
    run, _ = trainer(
        tmp_path,
        model,
        opt,
        cls=Remembered,
        callbacks=[Reports()],
        load_best_model_at_end=True,
        metric_for_best_model="loss",
        max_steps=16,
        **evaluated,
    )
    run.train()
    assert found == [run.state.best_metric]


def test_an_average_put_into_the_model_at_the_end_stays_there(tmp_path):
    model = Classifier()
    opt = optimizer(model.parameters())
    average = pgrad.averaging.EMA(model, decay=0.5).follow(opt)

    class Publishes(TrainerCallback):
        def on_train_end(self, args, state, control, **_):
            average.copy_to(model)

    made, watch = trainer(tmp_path, model, opt, callbacks=[Publishes()], max_steps=8)
    with pytest.warns(UserWarning, match="set from outside after 2 of 3 steps"):
        made.train()
    torch.testing.assert_close(vector(model), 0.5 * watch.points[2] + 0.5 * watch.points[5])
    before = vector(model)
    made.evaluate()
    assert torch.equal(vector(model), before)


def test_an_average_put_into_the_model_after_training_needs_no_word(tmp_path):
    model = Classifier()
    opt = optimizer(model.parameters())
    average = pgrad.averaging.EMA(model, decay=0.5).follow(opt)
    made, watch = trainer(tmp_path, model, opt, max_steps=8)
    made.train()
    average.copy_to(model)
    made.evaluate()
    torch.testing.assert_close(vector(model), 0.5 * watch.points[2] + 0.5 * watch.points[5])


def test_two_ranks_train_and_resume(tmp_path):
    code, output = torchrun(2, Path(__file__).with_name("trainer_ranks.py"), tmp_path, 4)
    assert code == 0, output
    assert "8 steps; ranks equal: True; resumed equal: True; best evaluated again: True" in output


def test_training_that_ends_in_the_middle_leaves_and_saves_the_anchor(tmp_path):
    made, watch = trainer(tmp_path, Classifier(), max_steps=8)
    made.train()
    assert torch.equal(vector(made.model), watch.points[5])
    made.save_model(str(tmp_path / "published"))
    assert torch.equal(vector(from_file(tmp_path / "published")), watch.points[5])
    assert not (tmp_path / "published" / "pgrad").exists()


def test_the_model_may_be_saved_during_an_evaluation_and_in_a_step(tmp_path):
    class Saves(TrainerCallback):
        def on_step_end(self, args, state, control, **_):
            if state.global_step == 4:
                made.save_model(str(tmp_path / "at-4"))

    class Computes(DomainTrainer):
        def prediction_step(self, *args, **kwargs):
            self.save_model(str(tmp_path / "evaluated"))
            return super().prediction_step(*args, **kwargs)

    made, watch = trainer(
        tmp_path, Classifier(), cls=Computes, callbacks=[Saves()], max_steps=8, eval_strategy="steps", eval_steps=8
    )
    made.train()
    assert torch.equal(vector(from_file(tmp_path / "at-4")), watch.points[2])
    assert torch.equal(vector(from_file(tmp_path / "evaluated")), watch.points[5])


def test_a_checkpoint_at_an_anchor_holds_nothing_twice(tmp_path):
    made, _ = trainer(tmp_path, Classifier(), max_steps=7, save_strategy="steps", save_steps=3)
    made.train()
    found = {n: (tmp_path / f"checkpoint-{n}" / "pgrad" / "inner_iterate").is_dir() for n in (3, 6, 7)}
    assert found == {3: False, 6: False, 7: True}
    assert json.loads((tmp_path / "checkpoint-7" / "pgrad" / "sampler.json").read_text())["position"] == 7


def test_under_fsdp_a_checkpoint_in_the_middle_is_refused(tmp_path):
    made, _ = trainer(tmp_path, Classifier(), max_steps=4, save_strategy="steps", save_steps=4)
    made.is_fsdp_enabled = True  # what the Trainer asks itself; a run of several processes is elsewhere
    made.optimizer.zero_grad()
    made.model(*dataset().tensors)["loss"].backward()
    made.optimizer.step()
    with pytest.raises(NotImplementedError, match=r"save_steps and max_steps be multiples of 3"):
        made.save_model(str(tmp_path / "checkpoint-1"), _internal_call=True)


# ------------------------------------------------------------------------------------------------- other optimizers


def test_by_class_and_arguments(tmp_path):
    """The Trainer makes the optimizer itself, with its two groups for weight decay."""
    args = TrainingArguments(tmp_path, use_cpu=True, disable_tqdm=True, report_to="none", max_steps=3, weight_decay=0.1)
    chosen = (PGrad, {"lr": 0.01, "rollout_length": LENGTH})
    made = DomainTrainer(
        Classifier(),
        args,
        train_dataset=Rows(),
        eval_dataset=Rows(),
        optimizer_cls_and_kwargs=chosen,
        batch_sampler=sampler(),
    )
    made.evaluate()  # there is no optimizer yet
    made.train()
    opt = made.optimizer.optimizer
    assert type(opt) is PGrad
    assert [group["weight_decay"] for group in opt.param_groups] == [0.1, 0.0]
    assert opt.rollout_position == 0
    assert opt.last_update.length > 0


def test_another_optimizer_is_left_alone(tmp_path):
    model, other = Classifier(), net()
    opt, expected = (torch.optim.Adam(m.parameters(), 0.01) for m in (model, other))
    made, watch = trainer(tmp_path, model, opt, scheduled=False, max_steps=9, save_strategy="steps", save_steps=4)
    made.train()
    points = copy.deepcopy(plain(other, expected))
    assert all(map(torch.equal, watch.points, points))
    assert torch.equal(vector(from_file(tmp_path / "checkpoint-4")), points[3])
