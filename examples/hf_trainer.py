"""The Trainer of Hugging Face: single-domain batches; evaluations and the best model are of the anchor.

python examples/hf_trainer.py
"""

import tempfile

import torch
from torch import nn

import pgrad

try:
    from transformers import TrainingArguments

    from pgrad.integrations.transformers import DomainTrainer
except ImportError as error:
    raise SystemExit(f"{error}; this example needs: pip install accelerate transformers") from error

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


model = Classifier()
sampler = pgrad.DomainBatchSampler(domains, batch_size=8, generator=torch.Generator().manual_seed(0))
opt = pgrad.PGrad(model.parameters(), lr=1e-2, rollout_length=sampler, outer_lr=0.5)
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(opt, T_max=240)
with tempfile.TemporaryDirectory() as folder:
    args = TrainingArguments(
        folder,
        use_cpu=True,
        max_steps=121,  # one step into a roll-out
        eval_strategy="steps",
        eval_steps=20,
        save_steps=20,
        load_best_model_at_end=True,
        report_to="none",
        disable_tqdm=True,
    )
    data = {"train_dataset": rows, "eval_dataset": rows, "batch_sampler": sampler}
    trainer = DomainTrainer(model, args, optimizers=(opt, scheduler), **data)
    trainer.train()
    found = trainer.evaluate()["eval_loss"]
print(f"loss {found:.4f}, that of the best checkpoint: {found == trainer.state.best_metric}; {opt.last_update}")
