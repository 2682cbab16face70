"""What a roll-out does: records of a training run, curvature, overlaps, and figures of them.

Only torch is imported. numpy and scipy come with the first eigenvalues, matplotlib with the first figure
(``pip install 'pgrad[analysis]'``). `docs/analysis.md` walks through all of it.

Example:
    How much of the first principal direction lies in the top eigenspace of the Hessian:

    >>> import torch, pgrad
    >>> model = torch.nn.Linear(20, 3)
    >>> loss = torch.nn.functional.cross_entropy
    >>> x, y = torch.randn(60, 20), torch.arange(60) % 3
    >>> opt = pgrad.PGrad(model.parameters(), lr=1e-2, rollout_length=3)
    >>> with Recorder(opt).attach() as recorder, Points(opt, model.parameters()).attach() as points:
    ...     for domain in range(3):
    ...         opt.zero_grad()
    ...         loss(model(x[domain::3]), y[domain::3]).backward()
    ...         _ = opt.step(domain=domain)
    >>> top = Hessian(model, loss, [(x, y)]).top(3)
    >>> share = overlap(principal_directions(points.rollouts[0], 1).directions, top.directions)
    >>> share.shape, random_null(63, 3).mean == 3 / 63, recorder.rows[0]["points"]
    (torch.Size([1]), True, 4)
"""

from pgrad.analysis import figures
from pgrad.analysis._lanczos import Eigenpairs
from pgrad.analysis.curvature import Cost, Curvature, Difference, GaussNewton, Hessian
from pgrad.analysis.curves import Smoothness, smoothness
from pgrad.analysis.diagnosis import Diagnosis, diagnose
from pgrad.analysis.gradients import Alignment, NoiseScale, alignment, noise_scale
from pgrad.analysis.landscape import Line, Plane, line, path, plane
from pgrad.analysis.measures import domain_cosine_matrix, measures
from pgrad.analysis.overlaps import (
    Interval,
    bootstrap,
    measured_momentum,
    mirrored_null,
    overlap,
    principal_angles,
    random_null,
    walk_null,
)
from pgrad.analysis.points import Directions, Points, principal_directions
from pgrad.analysis.quadratic import drift_scatter, noise_scatter
from pgrad.analysis.recorder import Recorder, layers, read_jsonl
from pgrad.analysis.spectrum import Density, Estimate, density, trace
from pgrad.analysis.walking import walk

__all__ = [
    "Alignment",
    "Cost",
    "Curvature",
    "Density",
    "Diagnosis",
    "Difference",
    "Directions",
    "Eigenpairs",
    "Estimate",
    "GaussNewton",
    "Hessian",
    "Interval",
    "Line",
    "NoiseScale",
    "Plane",
    "Points",
    "Recorder",
    "Smoothness",
    "alignment",
    "bootstrap",
    "density",
    "diagnose",
    "domain_cosine_matrix",
    "drift_scatter",
    "figures",
    "layers",
    "line",
    "measured_momentum",
    "measures",
    "mirrored_null",
    "noise_scale",
    "noise_scatter",
    "overlap",
    "path",
    "plane",
    "principal_angles",
    "principal_directions",
    "random_null",
    "read_jsonl",
    "smoothness",
    "trace",
    "walk",
    "walk_null",
]
