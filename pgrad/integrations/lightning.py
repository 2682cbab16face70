"""Lightning: evaluate and publish the anchor, resume from the inner iterate.

PGrad needs no help to train under Lightning. But validation and checkpoints come when Lightning finds it time for them,
and then the model may be in the middle of a roll-out. One callback puts that right::

    trainer = lightning.Trainer(callbacks=[EvaluateAtAnchor()])

It is not needed where validation and checkpoints come after whole roll-outs only (``val_check_interval`` and
``every_n_train_steps`` in multiples of ``rollout_length``, epochs of whole roll-outs as `DomainBatchSampler` makes
them, no gradient scaler that skips steps).

`pgrad.ResumableLoader`, which can be imported from here too, lets ``fit(ckpt_path=...)`` go on with the batches that
were still to come.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from typing_extensions import override

from pgrad.data import ResumableLoader
from pgrad.optimizer import PGrad

try:
    from lightning.pytorch import Callback, LightningModule, Trainer, callbacks
    from lightning.pytorch.trainer.states import TrainerFn
    from lightning.pytorch.utilities import CombinedLoader
except ImportError as error:
    raise ImportError("pgrad.integrations.lightning needs Lightning 2.5 or later: pip install lightning") from error

__all__ = ["EvaluateAtAnchor", "ResumableLoader"]

_KEY, _KEY_OF_0_1 = "pgrad_inner_iterate", "pgrad_walking_point"


class EvaluateAtAnchor(Callback):
    """Validation sees the anchor, and so does whoever loads a checkpoint, unless it is to go on training.

    During validation inside ``fit`` the model holds the anchor of every `pgrad.PGrad` among the optimizers; afterwards
    it is at the inner iterate again, bit for bit. In a checkpoint, ``state_dict`` is the anchor: right for
    ``load_from_checkpoint``, ``trainer.test(ckpt_path=...)`` and any other reader. The inner iterate is beside it,
    under "pgrad_inner_iterate", and ``trainer.fit(ckpt_path=...)`` with this callback takes it up: the run goes on as
    if it had not been interrupted. Without this callback it must not be resumed; Lightning warns then that one is
    missing. When ``fit`` ends in the middle of a roll-out, its steps are dropped and the model is left at the anchor.

    A `pgrad.ResumableLoader` goes on at its place also from a checkpoint that was saved when an epoch was over, where
    Lightning would start the data over.

    Buffers, such as the running statistics of BatchNorm, are those of the inner steps in either case.

    Beside Lightning's WeightAveraging, the average is what is validated and put into ``state_dict``, and that callback
    keeps the inner iterate: this one leaves checkpoints to it. What WeightAveraging and StochasticWeightAveraging put
    into the model when training ends stays there. Their order among the callbacks does not matter.

    Raises:
        ValueError: when training starts, if a ModelCheckpoint has ``save_weights_only=True``: Lightning then asks no
            callback, so that the file would hold the inner iterate; or if it is resumed with another number of loaders.

    Example:
        >>> import warnings
        >>> from lightning.pytorch import Trainer
        >>> trainer = Trainer(callbacks=[EvaluateAtAnchor()], logger=False, enable_progress_bar=False)
        >>> any(isinstance(callback, EvaluateAtAnchor) for callback in trainer.callbacks)
        True
    """

    def __init__(self) -> None:
        self._anchored = ExitStack()
        self._places: list[Any] = []  # of the loaders, in the checkpoint that is resumed

    @override
    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Refuse checkpoints that bypass callbacks."""
        for callback in trainer.checkpoint_callbacks:
            if getattr(callback, "save_weights_only", False):
                raise ValueError(
                    "EvaluateAtAnchor needs ModelCheckpoint(save_weights_only=False): files of weights alone are "
                    "written without asking callbacks and would hold the inner iterate of a roll-out"
                )

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Give the loaders their place, unless Lightning did: it does so in an epoch that was begun, and no other."""
        places, self._places = self._places, []
        if not places or trainer.fit_loop.restarting:
            return
        loaders = [loader for loader in CombinedLoader(trainer.train_dataloader).flattened if _is_stateful(loader)]
        if len(loaders) != len(places):
            raise ValueError(
                f"the checkpoint has the places of {len(places)} training loaders that can be resumed, but fit() was "
                f"given {len(loaders)}: give it loaders as those it was saved with"
            )
        for loader, place in zip(loaders, places, strict=True):
            if isinstance(loader, ResumableLoader):
                loader.load_state_dict(place)

    @override
    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Enter the anchor."""
        if trainer.state.fn == TrainerFn.FITTING:
            self._enter(trainer, self._anchored)

    @override
    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Back to the inner iterate, before any ModelCheckpoint has its turn (Lightning calls those last)."""
        self._anchored.close()

    @override
    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Give way to an average for which the statistics of BatchNorm are computed from now on, without any step."""
        if _stochastic_average_is_due(trainer):
            _forget(trainer)

    @override
    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Give way to an average that is put into the model now, by a callback before this one or after it."""
        if _averages_weights(trainer) or _stochastic_average_is_due(trainer) or _averages_without_end(trainer):
            _forget(trainer)

    @override
    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave the anchor in the model; checkpoints written before can still go on from the inner iterate."""
        for optimizer in _optimizers(trainer):
            optimizer.discard_rollout()

    @override
    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Back to the inner iterate if validation fails or is interrupted."""
        self._anchored.close()

    @override
    def state_dict(self) -> dict[str, Any]:
        """Not empty, so that Lightning warns where a run is resumed without this callback."""
        return {"version": 1}

    @override
    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """The anchor in ``state_dict``, the inner iterate beside it."""
        inside = any(optimizer.rollout_position > 0 for optimizer in _optimizers(trainer))
        if not inside or _averages_weights(trainer):
            return
        checkpoint[_KEY] = checkpoint["state_dict"]
        with ExitStack() as anchored:
            self._enter(trainer, anchored)
            weights = trainer.strategy.lightning_module_state_dict()
            checkpoint["state_dict"] = {name: value.clone() for name, value in weights.items()}

    @override
    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """The inner iterate and the place in the data, if training is to go on."""
        if trainer.state.fn != TrainerFn.FITTING:
            return
        self._places = checkpoint["loops"]["fit_loop"]["state_dict"].get("combined_loader", [])
        weights = checkpoint.get(_KEY, checkpoint.get(_KEY_OF_0_1))
        if weights is not None:
            trainer.strategy.load_model_state_dict({"state_dict": weights}, strict=pl_module.strict_loading)

    @staticmethod
    def _enter(trainer: Trainer, stack: ExitStack) -> None:
        for optimizer in _optimizers(trainer):
            stack.enter_context(optimizer.at_anchor())


def _optimizers(trainer: Trainer) -> list[PGrad]:
    return [optimizer for optimizer in trainer.optimizers if isinstance(optimizer, PGrad)]


def _is_stateful(loader: Any) -> bool:
    return hasattr(loader, "state_dict") and hasattr(loader, "load_state_dict")


def _forget(trainer: Trainer) -> None:
    for optimizer in _optimizers(trainer):
        optimizer.forget_rollout()


def _averages_weights(trainer: Trainer) -> bool:
    """Whether there is a WeightAveraging, which always puts its average into the model when training ends."""
    averaging = getattr(callbacks, "WeightAveraging", ())
    return any(isinstance(callback, averaging) for callback in _callbacks(trainer))


def _stochastic_average_is_due(trainer: Trainer) -> bool:
    """Whether there is a StochasticWeightAveraging whose last epoch is over, so that the model gets its average.

    That is when training ends or, with BatchNorm, at the start of one epoch more.
    """
    found = (c for c in _callbacks(trainer) if isinstance(c, callbacks.StochasticWeightAveraging))
    return any(trainer.current_epoch > callback.swa_end for callback in found)


def _averages_without_end(trainer: Trainer) -> bool:
    """Whether there is a StochasticWeightAveraging for training without a last epoch, whose end can be any."""
    stochastic = callbacks.StochasticWeightAveraging
    return trainer.max_epochs == -1 and any(isinstance(callback, stochastic) for callback in _callbacks(trainer))


def _callbacks(trainer: Trainer) -> list[Callback]:
    found: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    return found
