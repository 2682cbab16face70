"""A model in DistributedDataParallel: every rank has batches of its own, and all of them the matrix of all batches."""

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from pgrad import analysis
from tests.pgrad.analysis.small import batches, dense_gauss_newton, dense_hessian, network

WORLD = 2


def work(rank, file, folder):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=WORLD)
    try:
        model = DistributedDataParallel(network())
        found = {}
        for kind in (analysis.Hessian, analysis.GaussNewton):
            curvature = kind(model, nn.functional.cross_entropy, [batches(sizes=(7, 13))[rank]])
            pairs = curvature.top(2, tol=1e-10)
            found[kind.__name__] = {
                "dense": curvature.dense(),
                "values": pairs.values,
                "directions": pairs.directions,
                "gradient": curvature.gradient(),
                "loss": curvature.objective.mean_loss(),
            }
        torch.save(found, f"{folder}/{rank}.pt")
    finally:
        dist.destroy_process_group()


@pytest.mark.slow
def test_ranks_together_have_the_matrix_of_all_batches(tmp_path):
    torch.multiprocessing.spawn(work, (tmp_path / "rendezvous", tmp_path), nprocs=WORLD)
    one, other = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(WORLD))
    pairs = batches(sizes=(7, 13))
    for kind, dense in {"Hessian": dense_hessian, "GaussNewton": dense_gauss_newton}.items():
        expected = dense(network(), nn.functional.cross_entropy, pairs)
        torch.testing.assert_close(one[kind]["dense"], expected, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(one[kind]["values"], torch.linalg.eigvalsh(expected).flip(0)[:2])
        alone = analysis.Hessian(network(), nn.functional.cross_entropy, pairs)
        torch.testing.assert_close(one[kind]["gradient"], alone.gradient())
        assert one[kind]["loss"] == pytest.approx(alone.objective.value)
        for name, value in one[kind].items():  # the same on all ranks, bit for bit
            assert torch.equal(torch.as_tensor(value), torch.as_tensor(other[kind][name])), name
