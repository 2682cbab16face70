"""State dicts that version 0.1 saved: taken up bit for bit, or refused with what to do.

checkpoints_0_1.pt holds models and optimizers of pgrad 0.1.0 on tests/pgrad/problems.py (torch 2.15, one thread,
T = 4), where they stood after ``stop`` steps and where the model was after twelve.
"""

import copy
import functools
from pathlib import Path

import pytest
import torch

import pgrad
from tests.pgrad.problems import model, train, vector

SAVED = torch.load(Path(__file__).with_name("checkpoints_0_1.pt"), weights_only=True)


def made(net, **options):
    momentum = functools.partial(torch.optim.SGD, momentum=0.9)
    return pgrad.PGrad(net.parameters(), 1e-2, 4, outer_lr=0.5, outer=momentum, **options)


@pytest.mark.parametrize("name", ["middle", "anchor"])
def test_it_goes_on_as_version_0_1_did(name):
    saved = copy.deepcopy(SAVED[name])
    net, expected = model(seed=1), model()
    net.load_state_dict(saved["model"])
    expected.load_state_dict(saved["after"])
    opt = made(net)
    opt.load_state_dict(saved["optimizer"])
    assert opt.rollout_position == saved["stop"] % 4
    train(net, opt, saved["stop"], 12)
    assert torch.allclose(vector(net), vector(expected), rtol=0, atol=1e-6)  # another machine may round otherwise


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "sketch",
            {"n_components": 1},
            "sketch_size, at roll-out position 2: sketches are gone; save it at position 0",
        ),
        ("increments", {}, "aggregation 'increments', which is gone; go on with version 0.1"),
        ("middle", {"aggregation": pgrad.aggregation.displacement}, "aggregation='principal', this optimizer.*'displa"),
        ("middle", {"n_components": 2}, "n_components=4, this optimizer has n_components=2"),
    ],
)
def test_it_is_refused_with_what_to_do(name, options, message):
    net = model()
    opt = made(net, **options)
    train(net, opt, 0, 3)
    before = copy.deepcopy(opt.state_dict())
    with pytest.raises(ValueError, match=message):
        opt.load_state_dict(copy.deepcopy(SAVED[name]["optimizer"]))
    assert str(opt.state_dict()) == str(before)


def test_an_aggregation_of_ones_own_goes_on():
    """Version 0.1 noted its name; it is the same function, in another form."""

    def increments_of_mine(rollout):
        return pgrad.aggregation.principal(rollout)

    saved = copy.deepcopy(SAVED["middle"])
    for group in saved["optimizer"]["param_groups"]:
        group["pgrad"]["aggregation"] = increments_of_mine.__qualname__
    net = model(seed=1)
    net.load_state_dict(saved["model"])
    opt = made(net, aggregation=increments_of_mine)
    opt.load_state_dict(saved["optimizer"])
    assert opt.rollout_position == 2
