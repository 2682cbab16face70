"""The Trainer of Hugging Face: batches of one domain, evaluation and checkpoints at the anchor, an exact resume.

PGrad needs no help to train in a Trainer. But evaluations and checkpoints come when the Trainer finds it time for them,
and then the model may be in the middle of a roll-out: the metric of an inner iterate says nothing, and the best
checkpoint must hold the weights that were evaluated. And the Trainer shuffles domains together::

    trainer = DomainTrainer(model, args, train_dataset=data, optimizers=(opt, scheduler), batch_sampler=sampler)
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch.utils.data import DataLoader
from typing_extensions import override

from pgrad.data import DomainBatchSampler
from pgrad.optimizer import PGrad

try:
    from transformers import Trainer
except ImportError as error:
    raise ImportError(
        "pgrad.integrations.transformers needs transformers: pip install accelerate transformers"
    ) from error

__all__ = ["DomainTrainer"]

# In a checkpoint. The Trainer takes a folder that holds an adapter's file for an adapter, so that this is one below.
_INNER_ITERATE, _PLACE = Path("pgrad", "inner_iterate"), Path("pgrad", "sampler.json")


class DomainTrainer(Trainer):
    """A Trainer with batches of one domain, whose evaluations and checkpoints are of the anchor.

    ``evaluate`` and ``predict`` find the anchor in the model; afterwards it is at the inner iterate again, bit for bit.
    What a checkpoint holds as the model is the anchor too: right for ``from_pretrained``, for
    ``load_best_model_at_end`` and any other reader, since it is what the metric was measured on. In the middle of a
    roll-out the inner iterate is beside it, in the folder "pgrad", and ``train(resume_from_checkpoint=...)`` of this
    class takes it up, with the place in the data: the run goes on as if it had not been interrupted. A plain Trainer
    finds the anchor there; the optimizer notices, warns, and begins a roll-out with it.

    When ``train`` ends in the middle of a roll-out, its steps are dropped and the model is left at the anchor. With
    ``load_best_model_at_end`` it is left at the best checkpoint, and goes on from there if it is trained again.

    With an optimizer that is no `pgrad.PGrad`, this is the Trainer as it was. It goes before other Trainers:
    ``class Mine(DomainTrainer, Seq2SeqTrainer)``. Buffers, such as the running statistics of BatchNorm, are those of
    the inner steps in either case.

    Args:
        *args: those of the Trainer.
        batch_sampler: deals the training batches, in the place of the Trainer's own shuffling; on several ranks, where
            it must be made after the TrainingArguments, each gets its part. None for the loader that the Trainer makes,
            or ``get_train_dataloader`` of a subclass.
        **kwargs: those of the Trainer.

    Raises:
        TypeError: if ``batch_sampler`` is neither a `pgrad.DomainBatchSampler` nor a `pgrad.GroupBatchSampler`.
        NotImplementedError: for a checkpoint in the middle of a roll-out under FSDP or DeepSpeed, whose model the
            Trainer saves and loads by other ways.
        ValueError: if ``batch_sampler`` is for another number of ranks; when training is resumed, if it is not made as
            the one of the checkpoint.

    Example:
        >>> import tempfile, torch, pgrad
        >>> from transformers import TrainingArguments
        >>> model, domains = torch.nn.Linear(2, 1), ["art", "photo", "sketch"] * 4
        >>> sampler = pgrad.DomainBatchSampler(domains, batch_size=2)
        >>> opt = pgrad.PGrad(model.parameters(), rollout_length=sampler)
        >>> args = TrainingArguments(tempfile.mkdtemp(), use_cpu=True, report_to="none", remove_unused_columns=False)
        >>> rows = [{"input": torch.ones(2), "labels": 0}] * 12
        >>> trainer = DomainTrainer(model, args, train_dataset=rows, optimizers=(opt, None), batch_sampler=sampler)
        >>> len(trainer.get_train_dataloader())
        6
    """

    def __init__(self, *args: Any, batch_sampler: DomainBatchSampler | None = None, **kwargs: Any) -> None:
        if not (batch_sampler is None or isinstance(batch_sampler, DomainBatchSampler)):
            raise TypeError(
                "batch_sampler must be a pgrad.DomainBatchSampler or a pgrad.GroupBatchSampler, or None, "
                f"got {type(batch_sampler).__name__}"
            )
        super().__init__(*args, **kwargs)
        if batch_sampler is not None and batch_sampler.num_replicas != self.args.world_size:
            raise ValueError(
                f"batch_sampler must be one of {self.args.world_size} ranks, got num_replicas="
                f"{batch_sampler.num_replicas}: make it after the TrainingArguments, which start torch.distributed"
            )
        self._batches = None if batch_sampler is None else _Batches(self, batch_sampler)

    @override
    def get_train_dataloader(self) -> DataLoader[Any]:
        """The Trainer's own loader, but for its batches."""
        made = super().get_train_dataloader()
        if self._batches is None:
            return made
        kept = ("collate_fn", "num_workers", "persistent_workers", "pin_memory", "prefetch_factor", "worker_init_fn")
        return DataLoader(made.dataset, batch_sampler=self._batches, **{name: getattr(made, name) for name in kept})

    @override
    def train(self, *args: Any, **kwargs: Any) -> Any:
        """Train, and leave the anchor in the model, or the best checkpoint; what was saved before can be resumed."""
        output = super().train(*args, **kwargs)
        optimizer = _pgrad(self.optimizer)
        if optimizer is not None:
            optimizer.discard_rollout()
        return output

    @override
    def evaluation_loop(self, *args: Any, **kwargs: Any) -> Any:
        """Evaluate or predict at the anchor."""
        with _at_anchor(self.optimizer):
            return super().evaluation_loop(*args, **kwargs)

    @override
    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Save the anchor; in a checkpoint, which is to be resumed, what is needed for that beside it."""
        if _internal_call and output_dir is not None:
            self._save_progress(Path(output_dir))
        with _at_anchor(self.optimizer):
            super().save_model(output_dir, _internal_call=_internal_call)

    def _save_progress(self, folder: Path) -> None:
        optimizer = _pgrad(self.optimizer)
        if optimizer is not None and optimizer.rollout_position > 0:
            if self.is_fsdp_enabled or self.is_deepspeed_enabled:
                raise NotImplementedError(
                    f"a checkpoint after {optimizer.rollout_position} steps of a roll-out is not possible under FSDP "
                    f"or DeepSpeed: let save_steps and max_steps be multiples of {optimizer.rollout_length}, "
                    "the rollout_length"
                )
            super().save_model(str(folder / _INNER_ITERATE), _internal_call=True)
        if self._batches is not None and self.args.should_save:
            (folder / _PLACE).parent.mkdir(parents=True, exist_ok=True)
            (folder / _PLACE).write_text(json.dumps(self._batches.state_dict()), encoding="utf-8")

    @override
    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        """Training is to go on: from the inner iterate, where there is one."""
        folder = Path(resume_from_checkpoint)
        weights = folder / _INNER_ITERATE if (folder / _INNER_ITERATE).is_dir() else folder
        super()._load_from_checkpoint(str(weights), model)
        if self._batches is not None and (folder / _PLACE).is_file() and not self.args.ignore_data_skip:
            self._batches.load_state_dict(json.loads((folder / _PLACE).read_text(encoding="utf-8")))

    @override
    def _load_best_model(self) -> None:
        super()._load_best_model()
        optimizer = _pgrad(self.optimizer)
        if optimizer is not None:
            optimizer.forget_rollout()


class _Batches:
    """The batches of a sampler, as the Trainer resumes: it starts an epoch over and throws away what it has seen.

    Those that it throws away are not drawn anew, they are empty; so the sampler enters its loop where it was left, and
    knows it.
    """

    def __init__(self, trainer: Trainer, sampler: DomainBatchSampler) -> None:
        self._trainer, self._sampler = trainer, sampler
        self._resumed = False  # the next loop is the one of a checkpoint
        self._first = 0  # the Trainer's step when the loop began
        self._length: int | None = None  # batches of the loop from there on

    def __len__(self) -> int:
        return len(self._sampler)

    def __iter__(self) -> Iterator[list[int]]:
        resumed, self._resumed = self._resumed, False
        skipped = self._skipped() if resumed else 0
        self._first = self._trainer.state.global_step
        self._length = None if self._sampler.mode == "infinite" else len(self._sampler) - skipped
        yield from ([] for _ in range(skipped))
        yield from self._sampler

    def _skipped(self) -> int:
        """What the Trainer throws away, by its own rule."""
        step, accumulated = self._trainer.state.global_step, self._trainer.args.gradient_accumulation_steps
        if self._sampler.mode == "infinite":
            return step * accumulated
        return step % -(-len(self._sampler) // accumulated) * accumulated

    def state_dict(self) -> dict[str, Any]:
        """The place after the batches that were trained on, whatever workers have fetched ahead."""
        used = (self._trainer.state.global_step - self._first) * self._trainer.args.gradient_accumulation_steps
        return self._sampler.state_dict(consumed=used if self._length is None else min(used, self._length))

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._sampler.load_state_dict(state_dict)
        self._resumed = True


def _pgrad(optimizer: Any) -> PGrad | None:
    """The PGrad inside the wrappers of Accelerate, if it is one."""
    while not (optimizer is None or isinstance(optimizer, PGrad)):
        optimizer = getattr(optimizer, "optimizer", None)
    return optimizer


@contextmanager
def _at_anchor(wrapped: Any) -> Iterator[None]:
    optimizer = _pgrad(wrapped)
    if optimizer is None or optimizer.is_at_anchor:
        yield
        return
    with optimizer.at_anchor():
        yield
