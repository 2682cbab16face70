"""What a roll-out does: records of a training run, curvature, overlaps, and figures of them.

Only torch is imported. numpy and scipy come with the first eigenvalues, matplotlib with the first figure
(``pip install 'pgrad[analysis]'``).
"""

from pgrad.analysis._lanczos import Eigenpairs
from pgrad.analysis.curvature import Cost, Curvature, Difference, GaussNewton, Hessian
from pgrad.analysis.density import Density, Estimate, density, trace
from pgrad.analysis.measures import domain_cosine_matrix, measures
from pgrad.analysis.recorder import Recorder, layers, read_jsonl

__all__ = [
    "Cost",
    "Curvature",
    "Density",
    "Difference",
    "Eigenpairs",
    "Estimate",
    "GaussNewton",
    "Hessian",
    "Recorder",
    "density",
    "domain_cosine_matrix",
    "layers",
    "measures",
    "read_jsonl",
    "trace",
]
