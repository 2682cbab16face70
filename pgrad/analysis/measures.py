"""From the record of one outer step to a flat row of numbers: norms, spectrum, cosines, domains, parts."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from pgrad.principal import Update

__all__ = ["Row", "domain_cosine_matrix", "measures"]

Row = dict[str, float | int | str | None]


def measures(update: Update, parts: Mapping[str, Tensor] | None = None) -> Row:
    """What can be read off one outer step.

    With x_i the displacements, s_i = x_i - x_{i-1} the inner steps and S_d the sum of the steps on domain d:

    =====================  =================================================================================
    points                 P, how many points were kept, the anchor included
    components             principal directions in use; None for another aggregation
    length                 ||g||, of the outer gradient
    displacement           ||x_T||
    path                   sum of ||s_i||, the distance moved
    straightness           displacement / path; 1 is a straight line
    variance               sum of the eigenvalues of the centred Gram matrix
    explained/z            share of principal direction z in it; null/z that of a random walk of as many steps
    cosine                 of g with -x_T
    step_norm/i            ||s_i||, and step_cosine/i that of g with -s_i
    domain_norm/d          ||S_d||; domain_share/d of the movement; domain_cosine/d of g with -S_d
    domains/d|e            cosine of S_d with S_e
    disagreement           sum_d ||S_d - mean||^2 / sum_d ||S_d||^2: 0 if all domains moved alike, 1 - 1/D at right
                           angles, 1 if they undid each other
    part/name/...          length, displacement, cosine and explained/z of a part of the parameters, with the same
                           weights; part/name/variance its share of all variance
    =====================  =================================================================================

    Those of steps are there if all points were kept, those of domains if moreover every step's was named.

    Args:
        update: such as `pgrad.PGrad.last_update`.
        parts: Gram matrices of parts of the parameters, such as `pgrad.PGrad.last_parts`.

    Example:
        >>> points = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]], dtype=torch.float64)
        >>> row = measures(Update.of(torch.tensor([1.0, 0.0, -1.0]), points @ points.T, ("a", "b")))
        >>> round(row["straightness"], 4), row["domains/a|b"], row["disagreement"]
        (0.7071, 0.0, 0.5)
    """
    increments = _increments(update.gram)
    norms = increments.diagonal().clamp_min(0).sqrt()
    path, displacement = float(norms.sum()), float(update.gram[-1, -1].clamp_min(0).sqrt())
    row: Row = {
        "points": len(update.gram),
        "components": getattr(update, "n_components", None),
        "length": update.length,
        "displacement": displacement,
        "path": path,
        "straightness": displacement / path if path > 0 else None,
        "variance": float(update.eigenvalues.sum()),
        "cosine": update.cosine,
    }
    row |= _numbered("explained", update.explained_variance_ratio)
    row |= _numbered("null", update.null_explained_variance_ratio)
    row |= _numbered("step_norm", norms)
    row |= _numbered("step_cosine", update.step_cosines)
    row |= _of_domains(update)
    for name, gram in (parts or {}).items():
        row |= _of_part(name, update, gram)
    return row


def domain_cosine_matrix(update: Update) -> tuple[list[str], Tensor]:
    """Names of the domains, sorted, and the cosines [D, D] of the sums of their steps with each other.

    Both are empty where domains are unknown or not all points were kept.
    """
    names, products = _domain_products(update)
    norms = products.diagonal().clamp_min(0).sqrt()
    outer = norms[:, None] * norms
    return names, torch.where(outer > 0, products / outer, 0).clamp(-1, 1)


def _of_domains(update: Update) -> Row:
    names, cosines = domain_cosine_matrix(update)
    if not names:
        return {}
    _, products = _domain_products(update)
    norms = products.diagonal().clamp_min(0).sqrt()
    row: Row = {f"domain_norm/{name}": float(norm) for name, norm in zip(names, norms, strict=True)}
    row |= {f"domain_share/{name}": share for name, share in update.domain_shares.items()}
    row |= {f"domain_cosine/{name}": cosine for name, cosine in update.domain_cosines.items()}
    pairs = [(i, j) for i in range(len(names)) for j in range(i + 1, len(names))]
    row |= {f"domains/{names[i]}|{names[j]}": float(cosines[i, j]) for i, j in pairs}
    total = float(products.diagonal().sum())
    row["disagreement"] = 1 - float(products.sum()) / (len(names) * total) if total > 0 else None
    return row


def _of_part(name: str, update: Update, gram: Tensor) -> Row:
    part = Update.of(update.weights, gram)
    whole = float(update.eigenvalues.sum())
    variance = float(part.eigenvalues.sum())
    row: Row = {
        f"part/{name}/length": part.length,
        f"part/{name}/displacement": float(gram[-1, -1].clamp_min(0).sqrt()),
        f"part/{name}/cosine": part.cosine,
        f"part/{name}/variance": variance / whole if whole > 0 else None,
    }
    return row | _numbered(f"part/{name}/explained", part.explained_variance_ratio)


def _numbered(name: str, values: Tensor) -> Row:
    return {f"{name}/{number}": value for number, value in enumerate(values.tolist(), 1)}


def _increments(gram: Tensor) -> Tensor:
    """[P-1, P-1], products of the steps with each other."""
    rows = gram[1:] - gram[:-1]
    return rows[:, 1:] - rows[:, :-1]


def _domain_products(update: Update) -> tuple[list[str], Tensor]:
    """[D, D], products of the sums of each domain's steps with each other."""
    domains, increments = update.domains, _increments(update.gram)
    if domains is None or len(domains) != len(increments):
        return [], torch.zeros(0, 0, dtype=torch.float64, device="cpu")
    names = sorted(set(domains), key=str)
    own = torch.tensor(
        [[float(name == domain) for domain in domains] for name in names], dtype=torch.float64, device="cpu"
    )
    return [str(name) for name in names], own @ increments @ own.T
