"""The Trainer of Hugging Face with PGrad through its optimizer hooks: plain-loop equality, resume, evaluation."""

import pytest
import torch
from torch import nn
from transformers import Trainer, TrainerCallback, TrainingArguments

from pgrad import PGrad
from tests.pgrad.integrations.problem import LENGTH, dataset, loader, net, optimizer, plain, vector

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
        return {"x": x, "labels": y}


class DomainTrainer(Trainer):
    """Batches of one domain; evaluation at the anchor."""

    def get_train_dataloader(self):
        batches = torch.utils.data.DataLoader(Rows(), batch_sampler=loader().batch_sampler)
        return self.accelerator.prepare(batches)

    def evaluation_loop(self, *args, **kwargs):
        with getattr(self.optimizer, "optimizer", self.optimizer).at_anchor():
            return super().evaluation_loop(*args, **kwargs)


class Watch(TrainerCallback):
    def __init__(self):
        self.points = []

    def on_step_end(self, args, state, control, model, **_):
        self.points.append(vector(model))


def trainer(tmp_path, model, opt=None, cls=DomainTrainer, **options):
    options = {"max_steps": 18, "save_strategy": "no", "max_grad_norm": 0.0, "report_to": "none", **options}
    args = TrainingArguments(tmp_path, use_cpu=True, disable_tqdm=True, logging_strategy="no", seed=0, **options)
    opt = opt or optimizer(model.parameters())
    watch = Watch()
    made = cls(
        model, args, train_dataset=Rows(), eval_dataset=Rows(), optimizers=(opt, schedule(opt)), callbacks=[watch]
    )
    return made, watch


def schedule(opt):
    return torch.optim.lr_scheduler.CosineAnnealingLR(opt, T_max=9)


@pytest.mark.parametrize(
    ("options", "loop"),
    [
        ({}, {}),
        ({"max_grad_norm": 0.1}, {"clip": 0.1}),
        ({"gradient_accumulation_steps": 3, "max_steps": 3}, {"accumulate": 3}),
        ({"bf16": True}, {"dtype": torch.bfloat16}),
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


@pytest.mark.parametrize("stop", [3, 4, 5])
def test_resume_in_the_middle_of_a_roll_out(tmp_path, stop):
    options = {"max_steps": 9, "save_strategy": "steps", "save_steps": stop, "save_total_limit": 5}
    made, whole = trainer(tmp_path, Classifier(), **options)
    made.train()
    again, rest = trainer(tmp_path, Classifier(seed=1), **options)
    again.train(resume_from_checkpoint=str(tmp_path / f"checkpoint-{stop}"))
    assert len(rest.points) == 9 - stop
    assert all(map(torch.equal, rest.points, whole.points[stop:]))


def test_evaluation_sees_the_anchor_and_training_does_not_notice(tmp_path):
    seen = []

    class Watched(DomainTrainer):
        def prediction_step(self, model, *args, **kwargs):
            seen.append(vector(model))
            return super().prediction_step(model, *args, **kwargs)

    options = {"max_steps": 9, "per_device_eval_batch_size": 36}
    made, watch = trainer(tmp_path, Classifier(), cls=Watched, eval_strategy="steps", eval_steps=4, **options)
    made.train()
    assert len(seen) == 3
    for found, end in zip(seen, [2, 5, 8], strict=True):  # after 4 and 8 steps, and at the end: the last whole roll-out
        assert torch.equal(found, watch.points[end])
    without, other = trainer(tmp_path, Classifier(), **options)
    without.train()
    assert all(map(torch.equal, watch.points, other.points))


def test_by_class_and_arguments(tmp_path):
    """The Trainer makes the optimizer itself, with its two groups for weight decay."""
    args = TrainingArguments(tmp_path, use_cpu=True, disable_tqdm=True, report_to="none", max_steps=3, weight_decay=0.1)
    chosen = (PGrad, {"lr": 0.01, "rollout_length": LENGTH})
    made = DomainTrainer(Classifier(), args, train_dataset=Rows(), optimizer_cls_and_kwargs=chosen)
    made.train()
    opt = made.optimizer.optimizer
    assert type(opt) is PGrad
    assert [group["weight_decay"] for group in opt.param_groups] == [0.1, 0.0]
    assert opt.rollout_position == 0
    assert opt.last_update.length > 0
