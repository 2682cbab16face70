"""A plugin for tests: a tiny data set, a small model, and algorithms that do what real ones do on bad days."""

import os
import signal
import time

import torch

from benchmarks.algorithms import Algorithm
from benchmarks.base.metrics import balanced_accuracy
from benchmarks.base.search import Choice, LogUniform
from benchmarks.datasets import Domain, MultiDomainData
from benchmarks.runs.plugins import register_algorithm, register_dataset, register_model

SPACE = {"lr": LogUniform(1e-2, 1e-3, 1e-1)}


@register_dataset("toy", domains=("a", "b", "c"), measures={"balanced accuracy": balanced_accuracy})
def toy():
    """Two classes in three shifted domains."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(40) % 2
    inputs = [labels[:, None] + 0.3 * torch.randn(40, 2, generator=generator) + shift for shift in (0.0, 0.2, 0.4)]
    return MultiDomainData(tuple(Domain(name, x, labels) for name, x in zip("abc", inputs, strict=True)), n_outputs=2)


@register_model("line")
def line(input_shape, n_outputs, width):
    return torch.nn.Linear(input_shape[0], n_outputs)


@register_algorithm("toy-sgd", space=SPACE)
class ToySGD(Algorithm):
    """Gradient descent by hand."""

    def __init__(self, model, hparams, setup):
        super().__init__(model, setup)
        self.lr = hparams["lr"]

    def update(self, inputs, labels):
        loss = self.setup.loss(self.model(inputs), labels)
        with torch.no_grad():
            gradients = torch.autograd.grad(loss, list(self.model.parameters()))
            for parameter, gradient in zip(self.model.parameters(), gradients, strict=True):
                parameter -= self.lr * gradient
        return loss.detach()


@register_algorithm("toy-slow", space={**SPACE, "seconds": Choice(0.02, (0.02,))})
class Slow(ToySGD):
    """Takes its time."""

    def __init__(self, model, hparams, setup):
        super().__init__(model, hparams, setup)
        self.seconds = hparams["seconds"]

    def update(self, inputs, labels):
        time.sleep(self.seconds)
        return super().update(inputs, labels)


@register_algorithm("toy-busy", space={**SPACE, "seconds": Choice(0.1, (0.1,))})
class Busy(Slow):
    """Keeps its core busy."""

    def update(self, inputs, labels):
        end = time.perf_counter() + self.seconds
        while time.perf_counter() < end:
            pass
        return ToySGD.update(self, inputs, labels)


@register_algorithm("toy-nan", space=SPACE)
class Diverges(ToySGD):
    """Its loss is NaN after some updates."""

    count = 0

    def update(self, inputs, labels):
        self.count += 1
        return super().update(inputs, labels) * (float("nan") if self.count > 2 else 1.0)


@register_algorithm("toy-memory", space=SPACE)
class Memory(ToySGD):
    """Wants more memory than there is."""

    def update(self, inputs, labels):
        return torch.zeros(2**50).sum()


@register_algorithm("toy-import", space=SPACE)
def imports(model, hparams, setup):
    """Needs a library that is not there."""
    import a_library_that_nobody_has  # noqa: F401


@register_algorithm("toy-killed", space=SPACE)
class Killed(ToySGD):
    """The system kills it."""

    def update(self, inputs, labels):
        os.kill(os.getpid(), signal.SIGKILL)


@register_algorithm("toy-infinite", space=SPACE)
class Infinite(ToySGD):
    """Tells a figure that no record can hold."""

    def diagnostics(self):
        return {"figure": [float("inf")]}
