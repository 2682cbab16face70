"""The mean loss along a line, along a path, and on a plane; the model is not touched."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pgrad.analysis._objective import Loss, Objective
from pgrad.analysis._progress import Progress, Teller
from pgrad.analysis.points import principal_directions, products

__all__ = ["Line", "Plane", "line", "path", "plane"]

_STRAIGHT = 1e-5  # of the length of the way: what is nearer to it lies on it


@dataclass(frozen=True, eq=False)
class Line:
    """Losses along a line or a path.

    Attributes:
        distances: [n] float64, from its beginning, in the norm of the parameters.
        losses: [n] float64; infinite or nan where the model is.
    """

    distances: Tensor
    losses: Tensor


@dataclass(frozen=True, eq=False)
class Plane:
    """Losses on a plane, and a roll-out in it.

    Attributes:
        along: [n] float64, coordinates of the columns; the anchor is at 0.
        beside: [m] float64, coordinates of the rows.
        losses: [m, n] float64; infinite or nan where the model is.
        path: [T+1, 2], the points of the roll-out, projected into the plane; the anchor first.
        share: of all that the points are away from the anchor, in squares, what lies in the plane.
        axes: [2, d], orthonormal rows.
        marks: further points [2] by their name.
        labels: what the axes are.
    """

    along: Tensor
    beside: Tensor
    losses: Tensor
    path: Tensor
    share: float
    axes: Tensor
    marks: Mapping[str, tuple[float, float]]
    labels: tuple[str, str]


def line(
    model: nn.Module,
    loss: Loss,
    batches: Iterable[Any],
    direction: Tensor,
    distances: Tensor,
    *,
    params: Iterable[Tensor] | None = None,
    progress: bool | Teller = False,
) -> Line:
    """Mean loss at theta + t v / ||v||, theta being the parameters as they are.

    Args:
        model: as for `pgrad.analysis.Hessian`.
        loss: likewise.
        batches: likewise.
        direction: [d], v: such as an outer gradient or an eigenvector.
        distances: [n], t, of either sign.
        params: as for `pgrad.analysis.Hessian`.
        progress: True says the cost, and how far it is, on stderr.

    Raises:
        ValueError: if ``direction`` is zero, or as `pgrad.analysis.Hessian`.

    Example:
        >>> model = nn.Linear(1, 1, bias=False)
        >>> _ = nn.init.zeros_(model.weight)
        >>> loss = lambda outputs, targets: outputs.square().mean()
        >>> line(model, loss, [(torch.ones(1, 1), torch.ones(1))], torch.ones(1), torch.tensor([0.0, 1.0, 2.0])).losses
        tensor([0., 1., 4.], dtype=torch.float64)
    """
    objective = Objective(model, loss, batches, params)
    unit = _unit("direction", objective.vector("direction", direction))
    here = objective.point()
    distances = distances.double().cpu()
    points = (here + t * unit for t in distances.tolist())
    return Line(distances, _losses(objective, points, len(distances), progress, "loss along a line"))


def path(
    model: nn.Module,
    loss: Loss,
    batches: Iterable[Any],
    points: Tensor,
    number: int = 50,
    *,
    params: Iterable[Tensor] | None = None,
    progress: bool | Teller = False,
) -> Line:
    """Mean loss on the way from point to point, at equal distances moved.

    Args:
        model: as for `pgrad.analysis.Hessian`.
        loss: likewise.
        batches: likewise.
        points: [n, d], n >= 2, such as a roll-out.
        number: of losses, at least 2.
        params: as for `pgrad.analysis.Hessian`.
        progress: True says the cost, and how far it is, on stderr.

    Raises:
        ValueError: if ``points`` do not move or ``number`` is below 2, or as `pgrad.analysis.Hessian`.
    """
    objective = Objective(model, loss, batches, params)
    _check_points(objective, points)
    if number < 2:
        raise ValueError(f"number must be at least 2, got {number}")
    lengths = products(points.diff(dim=0), points.diff(dim=0)).diagonal().sqrt()
    moved = torch.cat([torch.zeros(1, dtype=torch.float64, device="cpu"), lengths.cumsum(0)])
    if not moved[-1] > 0:
        raise ValueError("points must move, got points that are all the same")
    distances = torch.linspace(0, float(moved[-1]), number, dtype=torch.float64, device="cpu")
    index = torch.searchsorted(moved, distances, right=True).clamp(1, len(points) - 1) - 1
    part = ((distances - moved[index]) / lengths[index].clamp_min(1e-300)).clamp(0, 1)
    where = (points[i] + t * (points[i + 1] - points[i]) for i, t in zip(index.tolist(), part.tolist(), strict=True))
    return Line(distances, _losses(objective, where, number, progress, "loss along a path"))


def plane(
    model: nn.Module,
    loss: Loss,
    batches: Iterable[Any],
    points: Tensor,
    *,
    axes: str = "displacement",
    resolution: int = 21,
    margin: float = 0.3,
    marks: Mapping[str, Tensor] | None = None,
    params: Iterable[Tensor] | None = None,
    progress: bool | Teller = False,
) -> Plane:
    """Mean loss on a plane through the anchor of a roll-out, with its path.

    Args:
        model: as for `pgrad.analysis.Hessian`.
        loss: likewise.
        batches: likewise.
        points: [T+1, d], theta_0 .. theta_T.
        axes: "displacement": the plane holds anchor and end point, and the direction beside the way between them along
            which the points vary most. "components": the first two principal directions, from the anchor.
        resolution: losses along the longer side; each is a pass over the batches.
        margin: beyond the points, as a part of their extent.
        marks: further points [d] to be drawn, by their name.
        params: as for `pgrad.analysis.Hessian`.
        progress: True says the cost, and how far it is, on stderr.

    Raises:
        ValueError: if the points lie on a line, an argument is out of range, or as `pgrad.analysis.Hessian`.
    """
    objective = Objective(model, loss, batches, params)
    _check_points(objective, points)
    if resolution < 2 or not margin >= 0:
        raise ValueError(f"resolution must be at least 2 and margin not negative, got {resolution} and {margin}")
    x = points - points[0]
    basis = _axes(x, points, axes)
    others = {name: objective.vector(f"marks[{name!r}]", point) for name, point in (marks or {}).items()}
    marked = {name: products((at - points[0])[None], basis)[0] for name, at in others.items()}
    projected = products(x, basis)
    away = float(products(x, x).diagonal().sum())
    along, beside = _grid(torch.cat([projected, *(at[None] for at in marked.values())]), resolution, margin)
    where = (points[0] + a * basis[0] + b * basis[1] for b in beside.tolist() for a in along.tolist())
    losses = _losses(objective, where, len(along) * len(beside), progress, "loss on a plane")
    labels = ("along the displacement", "beside it") if axes == "displacement" else ("component 1", "component 2")
    return Plane(
        along,
        beside,
        losses.view(len(beside), len(along)),
        projected,
        float(projected.square().sum()) / away,
        basis,
        {name: (float(at[0]), float(at[1])) for name, at in marked.items()},
        labels,
    )


def _axes(x: Tensor, points: Tensor, axes: str) -> Tensor:
    """[2, d], orthonormal."""
    if axes not in ("displacement", "components"):
        raise ValueError(f'axes must be "displacement" or "components", got {axes!r}')
    scale = float(x.norm(dim=1).max())
    if axes == "components":
        found = principal_directions(points, 2)
        if len(found.directions) < 2 or float(found.variances[1]) <= (_STRAIGHT * scale) ** 2:
            raise ValueError("points must span a plane, got some on a line: use pgrad.analysis.line")
        return -found.directions  # the way of the roll-out to the right
    along = _unit("the displacement of points", x[-1])
    rest = x - (x @ along)[:, None] * along
    rest = rest - (rest @ along)[:, None] * along
    if float(rest.norm(dim=1).max()) <= _STRAIGHT * scale:
        raise ValueError("points must span a plane, got some on a line: use pgrad.analysis.line")
    beside = principal_directions(rest, 1).directions[0]
    beside = beside - (beside @ along) * along
    return torch.stack([along, _unit("the direction beside", beside)])


def _grid(points: Tensor, resolution: int, margin: float) -> tuple[Tensor, Tensor]:
    """Coordinates in steps of one length, which cover the points with a margin."""
    low, high = points.amin(0), points.amax(0)
    extent = (high - low).clamp_min(float((high - low).max()) / 3)  # a flat picture shows nothing
    middle = (low + high) / 2
    half = (0.5 + margin) * extent
    step = 2 * float(half.max()) / (resolution - 1)
    numbers = [max(round(2 * float(side) / step) + 1, 2) for side in half]
    one, other = (
        at + step * (torch.arange(number, dtype=torch.float64, device="cpu") - (number - 1) / 2)
        for at, number in zip(middle.tolist(), numbers, strict=True)
    )
    return one, other


def _losses(objective: Objective, points: Iterable[Tensor], number: int, tell: bool | Teller, what: str) -> Tensor:
    cost = f"{number} passes forward over all batches, about {number / 3:.0f} gradients"
    counter = Progress(tell, what, number, cost)
    found = []
    for point in points:
        found.append(objective.mean_loss(point))
        counter.step()
    counter.end()
    return torch.tensor(found, dtype=torch.float64, device="cpu")


def _check_points(objective: Objective, points: Tensor) -> None:
    if points.ndim != 2 or len(points) < 2 or points.shape[1] != objective.size:
        raise ValueError(
            f"points must be [T+1, d] with T >= 1 and d = {objective.size} parameters, got {tuple(points.shape)}"
        )
    if not points.isfinite().all():
        raise ValueError("points must be finite, got inf or nan: cut the roll-out before it diverged")


def _unit(name: str, vector: Tensor) -> Tensor:
    norm = vector.double().norm()
    if not (norm > 0 and norm.isfinite()):
        raise ValueError(f"{name} must be neither zero nor infinite, got one of norm {float(norm)}")
    unit: Tensor = (vector.double() / norm).to(vector.dtype)
    return unit
