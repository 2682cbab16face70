"""The Python blocks of docs/frameworks.md run, one after the other, on a small problem."""

import re
import runpy
import warnings
from pathlib import Path

import accelerate
import lightning.pytorch
import pytest
import timm
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState
from torch import nn
from torch.utils.data import DataLoader
from transformers import TrainingArguments

import pgrad
import pgrad.integrations.timm
from pgrad.integrations.lightning import EvaluateAtAnchor
from pgrad.integrations.transformers import DomainTrainer
from tests.pgrad.integrations.problem import DOMAINS, dataset, sampler

pytestmark = pytest.mark.slow
PAGE = Path(__file__).parents[3] / "docs" / "frameworks.md"


def make_model():
    return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 2))


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(6, 2)

    def forward(self, x, labels):
        logits = self.net(x)
        return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}


def names(tmp_path):
    model, data, batches = make_model(), dataset(), sampler()
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    return {
        "lightning": lightning,
        "torch": torch,
        "timm": timm,
        "pgrad": pgrad,
        "Accelerator": Accelerator,
        "DataLoader": DataLoader,
        "EvaluateAtAnchor": EvaluateAtAnchor,
        "DomainTrainer": DomainTrainer,
        "TrainingArguments": TrainingArguments,
        "accelerate": accelerate,
        "classifier": Classifier(),
        "domains": DOMAINS,
        "folder": tmp_path / "folder",
        "rows": [{"x": x, "labels": y} for x, y in data],
        "silent": {"use_cpu": True, "disable_tqdm": True, "report_to": "none"},
        "make_model": make_model,
        "model": model,
        "opt": pgrad.PGrad(model.parameters(), rollout_length=3),
        "data": data,
        "sampler": batches,
        "loader": DataLoader(data, batch_sampler=batches),
        "loss_fn": nn.functional.cross_entropy,
        "evaluate": lambda model: model(torch.ones(2, 6)),
        "device": "cpu",
        "quiet": {**quiet, "accelerator": "cpu", "default_root_dir": tmp_path, "enable_checkpointing": False},
    }


def test_the_code_runs(tmp_path):
    AcceleratorState._reset_state(True)
    GradientState._reset_state()
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(blocks) >= 10
    scope = names(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        for block in blocks:
            exec(compile(block, str(PAGE), "exec"), scope)
    assert scope["average"].count == 3
    assert scope["model"][1].training  # frozen by one block, and not any more after update_bn in the next
    AcceleratorState._reset_state(True)
    GradientState._reset_state()


def test_the_table_of_batchnorm_is_what_the_example_prints():
    """One seed here, five on the page: the ranking it is read for must be the same."""
    page = re.findall(r"^(Adam|PGrad) +(left to run|recalibrated|frozen) +([\d.]+) \+-", PAGE.read_text(), re.MULTILINE)
    example = runpy.run_path(str(PAGE.parents[1] / "examples" / "batchnorm.py"))
    optimizers = {"Adam": torch.optim.Adam, "PGrad": lambda p, lr: pgrad.PGrad(p, lr, 9, outer_lr=0.5)}
    for title, policy, loss in page:
        if policy != "recalibrated":
            found = example["measure"](example["train"](0, optimizers[title], policy == "frozen"), 0)[0]
            assert abs(found - float(loss)) < 0.3 * float(loss), (title, policy, found)
            assert (found < 0.6931) == (policy == "frozen")
    assert len(page) == 6
