"""Pseudo-measurements of the Bethe-Heitler cross section at six settings of beam, Q^2 and t: predict the unseen one.

Every setting is a small experiment: a grid of bins in x_B, Q^2, t and φ, and an effective luminosity (integrated
luminosity times acceptance). A bin of volume V at (x_B, Q^2, t, φ) is expected to hold ``σ L V`` events, with σ the
cross section of `benchmarks.physics` at its centre; it holds a Poisson number N. The efficiency of a bin is known
to 3 % only, independently of the other bins: z below is a standard normal number. What is published is

    value = ln (N / L V) + 0.03 z, the logarithm of the cross section in nb / GeV^4 / rad;    error^2 = 1 / N + 0.03^2.

Labels are ``[n, 2]``: value and error. A prediction is judged by its *pull*, (prediction - value) / error: the truth
itself has a root mean square pull of 1. All errors are independent, and they are drawn once, from fixed seeds. The
settings are like those of JLab with 6 and 12 GeV and of HERMES; nothing was measured anywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import smooth_l1_loss

from benchmarks.base.seeds import seed_from
from benchmarks.datasets.base import DatasetEntry, Domain, MultiDomainData
from benchmarks.physics import Kinematics, cross_section, dipole

Array = NDArray[np.float64]

BINS = {"x_b": 4, "q2": 2, "t": 4, "phi": 12}
"""In each setting; φ goes all around."""

Y_MAX = 0.85
"""Electrons that lose more of their energy are not seen; neither are bins that t_min cuts."""

EFFICIENCY_ERROR = 0.03
"""Relative, of every bin by itself."""

PULL_SCALE = 5.0
"""Pulls below it count quadratically in the loss, above it linearly."""

TYPICAL_ERROR = 0.05
"""Turns pulls into changes of the logarithm, so that the loss of an untrained model is a few units, not hundreds."""


@dataclass(frozen=True)
class Setting:
    """One experiment.

    Attributes:
        beam_energy: In GeV.
        x_b, q2, t: Lowest and highest edge of the bins; GeV^2.
        luminosity: Times acceptance, in 1 / nb; enough for some 40 events in the emptiest bin.
    """

    beam_energy: float
    x_b: tuple[float, float]
    q2: tuple[float, float]
    t: tuple[float, float]
    luminosity: float


SETTINGS = {
    "6 GeV, low x": Setting(5.75, x_b=(0.15, 0.25), q2=(1.1, 1.5), t=(-0.40, -0.12), luminosity=2e7),
    "6 GeV, high x": Setting(5.75, x_b=(0.30, 0.42), q2=(1.9, 2.7), t=(-0.60, -0.28), luminosity=6e7),
    "11 GeV, low x": Setting(10.6, x_b=(0.12, 0.22), q2=(1.5, 2.3), t=(-0.50, -0.14), luminosity=5e7),
    "11 GeV, high x": Setting(10.6, x_b=(0.28, 0.46), q2=(3.8, 5.4), t=(-1.00, -0.40), luminosity=3e8),
    "28 GeV, low x": Setting(27.6, x_b=(0.05, 0.15), q2=(1.6, 3.6), t=(-0.40, -0.08), luminosity=2e7),
    "28 GeV, high x": Setting(27.6, x_b=(0.16, 0.32), q2=(3.0, 6.0), t=(-0.80, -0.20), luminosity=1e8),
}
"""The domains: two at each of three beam energies, those of JLab (first four) and of HERMES."""


@dataclass(frozen=True)
class Measurement:
    """The bins of one setting.

    Attributes:
        point: Their centres.
        truth: The logarithm of the cross section there.
        value: What was measured of it.
        error: The statistical error of the value, counting and efficiency together.
    """

    point: Kinematics
    truth: Array
    value: Array
    error: Array


def measure(name: str) -> Measurement:
    """Runs an experiment; it finds the same events every time."""
    setting = SETTINGS[name]
    edges = {"x_b": setting.x_b, "q2": setting.q2, "t": setting.t, "phi": (0.0, 2 * np.pi)}
    widths = {axis: (edges[axis][1] - edges[axis][0]) / n for axis, n in BINS.items()}
    centres = [edges[axis][0] + widths[axis] * (np.arange(n) + 0.5) for axis, n in BINS.items()]
    x_b, q2, t, phi = (axis.ravel() for axis in np.meshgrid(*centres, indexing="ij"))
    forward = Kinematics(setting.beam_energy, x_b, q2, -q2, phi)  # |t| = Q^2 is always inside
    seen = (forward.y < Y_MAX) & (t + widths["t"] / 2 < forward.t_min)
    point = Kinematics(setting.beam_energy, x_b[seen], q2[seen], t[seen], phi[seen])
    sigma = cross_section(point)
    exposure = setting.luminosity * np.prod(list(widths.values()))
    rng = np.random.default_rng(seed_from("bethe-heitler", name))
    events = rng.poisson(sigma * exposure)
    value = np.log(events / exposure) + EFFICIENCY_ERROR * rng.standard_normal(len(sigma))
    return Measurement(point, np.log(sigma), value, error=np.sqrt(1 / events + EFFICIENCY_ERROR**2))


def plain_inputs(point: Kinematics) -> Array:
    """E, x_B, Q^2, t and φ as they are: ``[n, 5]``."""
    return np.stack([point.beam_energy, point.x_b, point.q2, point.t, point.phi], axis=1)


def physics_inputs(point: Kinematics) -> Array:
    """What the formula is made of, ``[n, 11]``: see the names in the code.

    The cross section is a product of powers times slow functions, so factors enter as logarithms.
    """
    columns = [
        point.y,
        np.sqrt(point.epsilon2),
        -point.t / point.q2,
        point.k,
        np.cos(point.phi),
        np.cos(2 * point.phi),
        np.log(-point.p1 * point.p2),
        np.log(dipole(point.t)),
        np.log(point.x_b),
        np.log(point.q2),
        np.log(-point.t),
    ]
    return np.stack(columns, axis=1)


def bethe_heitler_plain() -> MultiDomainData:
    """Raw inputs: beam energy, x_B, Q^2, t and φ."""
    return _data(physics=False)


def bethe_heitler_physics() -> MultiDomainData:
    """The same measurements, inputs that know the physics."""
    return _data(physics=True)


def _data(physics: bool) -> MultiDomainData:
    inputs = physics_inputs if physics else plain_inputs
    domains = []
    for name in SETTINGS:
        found = measure(name)
        labels = np.stack([found.value, found.error], axis=1)
        domains.append(
            Domain(
                name,
                torch.tensor(inputs(found.point), dtype=torch.float32),
                torch.tensor(labels, dtype=torch.float32),
            )
        )
    return MultiDomainData(tuple(domains), n_outputs=1)


def pulls(outputs: Tensor, labels: Tensor) -> Tensor:
    """(prediction - value) / error, ``[...]``, of outputs ``[..., 1]`` and labels ``[..., 2]``."""
    if outputs.shape != (*labels.shape[:-1], 1) or labels.shape[-1] != 2:
        raise ValueError(
            "outputs must have the shape [..., 1] and labels [..., 2] (value and error), got "
            f"{tuple(outputs.shape)} and {tuple(labels.shape)}"
        )
    return (outputs.squeeze(-1) - labels[..., 0]) / labels[..., 1]


def pull_loss(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:  # noqa: A002
    """Huber's loss of the pull: TYPICAL_ERROR * |pull|, less steep where a pull is below PULL_SCALE.

    With the mean of pull^2 a few precise bins would lead for most of the training: pulls begin in the hundreds.

    Example:
        >>> pull_loss(torch.tensor([[0.2], [2.0]]), torch.tensor([[0.0, 0.1], [0.0, 0.1]]), reduction="none")
        tensor([0.0200, 0.8750])
    """
    pull = pulls(input, target)
    return TYPICAL_ERROR * smooth_l1_loss(pull, torch.zeros_like(pull), beta=PULL_SCALE, reduction=reduction)


def negative_rms_pull(outputs: Tensor, labels: Tensor) -> float:
    """Minus the root mean square pull: the error in units of the statistical one. The truth reaches about -1.

    Example:
        >>> round(negative_rms_pull(torch.tensor([[0.3], [-0.4]]), torch.tensor([[0.0, 0.1], [0.0, 0.1]])), 4)
        -3.5355
    """
    return -pulls(outputs.double(), labels.double()).square().mean().sqrt().item()


def standardise(inputs: Tensor, labels: Tensor) -> Callable[[Tensor], Tensor]:
    """Columns with the mean 0 and the standard deviation 1 on the examples given; constant ones become 0."""
    del labels
    deviation, mean = torch.std_mean(inputs, dim=0, correction=0)
    scale = torch.where(deviation > 0, deviation, torch.ones_like(deviation))
    return lambda inputs: (inputs - mean) / scale


def _entry(factory: Callable[[], MultiDomainData], inputs: str) -> DatasetEntry:
    return DatasetEntry(
        factory=factory,
        description=f"Bethe-Heitler cross sections of the proton at six settings of beam, Q^2 and t, {inputs}",
        metric=negative_rms_pull,
        domains=tuple(SETTINGS),
        loss=pull_loss,
        licence="none needed: computed here",
        source="hep-ph/0112108 with the form factors of Phys. Rev. C 70, 068202",
        fit=standardise,
    )


ENTRIES = {
    "bethe-heitler-plain": _entry(bethe_heitler_plain, "raw inputs"),
    "bethe-heitler-physics": _entry(bethe_heitler_physics, "physics-aware inputs"),
}
