"""Lightning: validation and checkpoints at the anchor, resume in the middle of a roll-out.

python examples/lightning_fit.py
"""

import tempfile

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import pgrad

try:
    import lightning.pytorch as pl
    from lightning.pytorch.callbacks import ModelCheckpoint

    from pgrad.integrations.lightning import EvaluateAtAnchor
except ImportError as error:
    raise SystemExit(f"{error}; this example needs: pip install lightning") from error

torch.manual_seed(0)
domains = torch.arange(3).repeat_interleave(40)
x = torch.randn(120, 8) + domains[:, None]
data = TensorDataset(x, (x[:, 0] > domains).long())


class Classifier(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 2))

    def training_step(self, batch, batch_idx):
        return nn.functional.cross_entropy(self.net(batch[0]), batch[1])

    def validation_step(self, batch, batch_idx):
        self.log("accuracy", (self.net(batch[0]).argmax(1) == batch[1]).float().mean())

    def configure_optimizers(self):
        opt = pgrad.PGrad(self.parameters(), lr=3e-3, rollout_length=3, outer_lr=0.5)
        scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(opt, T_max=150)
        return {"optimizer": opt, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


def fit(folder, steps, resume=None):
    sampler = pgrad.DomainBatchSampler(domains, batch_size=8, generator=torch.Generator().manual_seed(0))
    saves = ModelCheckpoint(folder, every_n_train_steps=50, save_top_k=-1, filename="{step}")
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = pl.Trainer(max_steps=steps, val_check_interval=7, callbacks=[saves, EvaluateAtAnchor()], **quiet)
    loader = pgrad.ResumableLoader(data, sampler)
    trainer.fit(Classifier(), loader, DataLoader(data, batch_size=120), ckpt_path=resume)
    return trainer


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        first = fit(folder, steps=50)  # 16 roll-outs and two steps
        second = fit(folder, steps=150, resume=f"{folder}/step=50.ckpt")
        print(f"accuracy at the anchor: {first.callback_metrics['accuracy']:.2f} after 50 steps")
        print(f"accuracy at the anchor: {second.callback_metrics['accuracy']:.2f} after 150 steps, 50 of them resumed")
