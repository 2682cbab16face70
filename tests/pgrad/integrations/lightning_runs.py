"""A Lightning module, quiet trainers and what the tests of Lightning share."""

import lightning.pytorch as pl
import pytest
import torch
from torch import nn

from tests.pgrad.integrations.problem import LENGTH, dataset, loader, net, optimizer, vector

QUIET = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:GPU available but not used"),
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*have no `val_dataloader`"),
    pytest.mark.filterwarnings("ignore:.*smaller than the logging interval"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec"),
    pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec.*"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty"),
    pytest.mark.filterwarnings("ignore:.*mid-epoch.*"),
    pytest.mark.filterwarnings("ignore:.*ended before training loop.*"),
]


class Module(pl.LightningModule):
    def __init__(self, seed=0, scheduled=False, length=LENGTH):
        super().__init__()
        self.net = self.make_net(seed)
        self.scheduled = scheduled
        self.length = length
        self.points = []  # after every optimizer step
        self.validated = []  # what validation saw

    def make_net(self, seed):
        return net(seed)

    def training_step(self, batch, batch_idx):
        x, y = batch
        return nn.functional.cross_entropy(self.net(x), y)

    def validation_step(self, batch, batch_idx):
        self.validated.append(vector(self.net))

    def on_train_batch_end(self, *_):
        self.points.append(vector(self.net))

    def configure_optimizers(self):
        opt = optimizer(self.net.parameters(), self.length)
        if not self.scheduled:
            return opt
        return {"optimizer": opt, "lr_scheduler": {"scheduler": schedule(opt), "interval": "step"}}


def schedule(opt):
    return torch.optim.lr_scheduler.CosineAnnealingLR(opt, T_max=9)


def trainer(tmp_path, **options):
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    options = {"max_epochs": 1, "enable_checkpointing": False, "limit_val_batches": 0, **options}
    return pl.Trainer(default_root_dir=tmp_path, use_distributed_sampler=False, **quiet, **options)


def whole():
    """A loader of all rows as one batch."""
    return torch.utils.data.DataLoader(dataset(), batch_size=len(dataset()))


def validation(tmp_path, callbacks, module=None, data=None, ckpt_path=None, **options):
    """A fit of nine steps in roll-outs of four, validated after every third one: it ends one step into a roll-out."""
    module = Module(length=4) if module is None else module
    loaders = () if data is False else (data or loader(), whole())  # False: the module has its own
    options = {"val_check_interval": 3, "limit_val_batches": 1, "num_sanity_val_steps": 0, **options}
    fit = trainer(tmp_path, callbacks=callbacks, **options)
    fit.fit(module, *loaders, ckpt_path=ckpt_path)
    return fit, module


def same(found, expected):
    assert len(found) == len(expected) > 0
    for n, (a, b) in enumerate(zip(found, expected, strict=True)):
        assert torch.equal(a, b), f"point {n}"


class SaveAfter(pl.Callback):
    def __init__(self, step, path):
        self.step, self.path = step, path

    def on_train_batch_end(self, trainer, *_):
        if trainer.global_step == self.step:
            trainer.save_checkpoint(self.path)


class StopAfter(SaveAfter):
    def on_train_batch_end(self, trainer, *_):
        super().on_train_batch_end(trainer)
        trainer.should_stop = trainer.global_step == self.step
