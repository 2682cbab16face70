"""The page about averages: its code runs, and its claims are what happens."""

import pytest
import torch

import pgrad
from tests.docs.pages import blocks, run


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("page"))  # one block writes a checkpoint
        return run("docs/averaging.md")


def test_the_code_ran(page):
    assert len(blocks("docs/averaging.md")) == 3
    assert page["average"].count == 3
    assert not page["swad"].finished
    assert 0 <= page["accuracy"] <= 1


def test_statistics_stay_behind(page):
    """Running statistics made inside the block are in the model outside, the weights are its own again."""
    model, average, loader = page["model"], page["average"], page["loader"]
    model[1].reset_running_stats()
    own = [p.detach().clone() for p in model.parameters()]
    with average.applied():
        torch.optim.swa_utils.update_bn(loader, model)
        inside = model[1].running_mean.clone()
    assert torch.equal(model[1].running_mean, inside)
    assert inside.abs().sum() > 0
    assert all(map(torch.equal, own, model.parameters()))


@pytest.mark.parametrize("kind", [pgrad.averaging.EMA, pgrad.averaging.Mean])
def test_a_point_that_is_not_finite_stays(kind):
    model = torch.nn.Linear(1, 1, bias=False)
    average = kind(model)
    for value in (1.0, float("nan"), 1.0):
        torch.nn.init.constant_(model.weight, value)
        average.update()
    assert average.average()["weight"].isnan().all()


def test_a_rollout_that_diverges_gives_no_point():
    model = torch.nn.Linear(1, 1, bias=False)
    opt = pgrad.PGrad(model.parameters(), lr=1e-2, rollout_length=2)
    average = pgrad.averaging.EMA(model).follow(opt)
    for gradient in (float("nan"), 1.0):
        model.weight.grad = torch.full_like(model.weight, gradient)
        with pytest.warns(RuntimeWarning) if gradient == 1.0 else torch.enable_grad():
            opt.step()
    assert average.count == 0
    assert opt.nonfinite_rollouts == 1
