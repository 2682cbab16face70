"""Compiled models."""

import pytest
import torch
from torch import nn

from tests.pgrad.integrations.problem import loader, net, optimizer, plain


@pytest.fixture(autouse=True)
def _reset():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_compiled_model_trains_like_the_plain_one():
    """The parameters change in place and keep their storage, so that nothing is compiled again for PGrad's sake."""
    torch._dynamo.utils.counters.clear()
    model, expected = net(), net()
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    opt = optimizer(compiled.parameters())
    places = [p.data_ptr() for p in model.parameters()]
    points = plain(compiled, opt, epochs=2)
    assert all(map(torch.equal, points, plain(expected, optimizer(expected.parameters()), epochs=2)))
    assert [p.data_ptr() for p in model.parameters()] == places
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_compiled_model_sees_the_anchor():
    model = net()
    compiled = torch.compile(model, backend="eager")
    opt = optimizer(compiled.parameters())
    x = torch.ones(2, 6)
    start = compiled(x).detach()
    for a, b in list(loader())[:2]:
        opt.zero_grad()
        nn.functional.cross_entropy(compiled(a), b).backward()
        opt.step()
    assert not torch.equal(compiled(x), start)
    with opt.at_anchor():
        assert torch.equal(compiled(x), start)
