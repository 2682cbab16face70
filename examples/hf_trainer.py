"""The Trainer of Hugging Face: single-domain batches, evaluation at the anchor.

python examples/hf_trainer.py
"""

import tempfile

import torch
from torch import nn
from torch.utils.data import DataLoader
from transformers import Trainer, TrainingArguments

import pgrad

torch.manual_seed(0)
domains = torch.arange(3).repeat_interleave(40)
x = torch.randn(120, 8) + domains[:, None]
rows = [{"x": a, "labels": b} for a, b in zip(x, (x[:, 0] > domains).long(), strict=True)]


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 2))

    def forward(self, x, labels):
        logits = self.net(x)
        return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}


class DomainTrainer(Trainer):
    def get_train_dataloader(self):
        sampler = pgrad.DomainBatchSampler(domains, batch_size=8, generator=torch.Generator().manual_seed(0))
        return self.accelerator.prepare(DataLoader(rows, batch_sampler=sampler))

    def evaluation_loop(self, *args, **kwargs):
        with getattr(self.optimizer, "optimizer", self.optimizer).at_anchor():
            return super().evaluation_loop(*args, **kwargs)


model = Classifier()
opt = pgrad.PGrad(model.parameters(), lr=1e-2, rollout_length=3, outer_lr=0.5)
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(opt, T_max=240)
with tempfile.TemporaryDirectory() as folder:
    args = TrainingArguments(
        folder,
        use_cpu=True,
        max_steps=120,
        eval_strategy="steps",
        eval_steps=40,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    DomainTrainer(model, args, train_dataset=rows, eval_dataset=rows, optimizers=(opt, scheduler)).train()
print(f"position {opt.rollout_position} of {opt.rollout_length}; {opt.last_update}")
