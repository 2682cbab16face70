"""Named settings are those of their source."""

import pytest
import torch

import pgrad
from tests.pgrad.problems import model, train, vector


def test_paper_is_the_authors_settings():
    opt = pgrad.presets.paper(model().parameters(), lr=5e-5, domains=4, weight_decay=1e-3)
    assert (opt.rollout_length, opt.n_components, opt.aggregation) == (12, 4, pgrad.aggregation.principal)
    assert type(opt.inner) is torch.optim.Adam
    assert (opt.param_groups[0]["lr"], opt.param_groups[0]["weight_decay"]) == (5e-5, 0)
    assert type(opt.outer) is torch.optim.SGD
    group = opt.outer.param_groups[0]
    assert (group["lr"], group["weight_decay"], group["momentum"]) == (0.1, 1e-3, 0)


def test_options_go_before_the_settings():
    control = pgrad.presets.paper(
        model().parameters(), 1e-3, 3, aggregation=pgrad.aggregation.displacement, outer_lr=1.0
    )
    assert control.aggregation is pgrad.aggregation.displacement
    assert control.outer.param_groups[0]["lr"] == 1.0


@pytest.mark.parametrize(("domains", "error"), [(0, ValueError), (2.0, TypeError), (True, TypeError)])
def test_bad_domains(domains, error):
    with pytest.raises(error, match=f"domains must be.*got {domains}"):
        pgrad.presets.paper(model().parameters(), 1e-3, domains)


def test_forgotten_weights_are_the_new_anchor():
    net, twin = model(), model(seed=3)
    opt = pgrad.PGrad(net.parameters(), 1e-2, 3, outer_lr=0.5)
    train(net, opt, 0, 2)
    net.load_state_dict(twin.state_dict())
    opt.forget_rollout()
    assert opt.rollout_position == 0
    with opt.at_anchor():
        assert torch.equal(vector(net), vector(twin))
    train(net, opt, 0, 1)
    opt.discard_rollout()
    assert torch.equal(vector(net), vector(twin))


def test_the_sampler_itself_is_a_rollout_length():
    sampler = pgrad.DomainBatchSampler([0, 1, 2] * 8, batch_size=4, splits=2)
    assert pgrad.PGrad(model().parameters(), 1e-2, sampler).rollout_length == sampler.rollout_length == 6


def test_a_rollout_length_must_be_given():
    with pytest.raises(
        TypeError, match=r"rollout_length must be given.*splits x domains.*sampler.*rollout\(closures\)"
    ):
        pgrad.PGrad(model().parameters(), 1e-2)
