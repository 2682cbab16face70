"""Compiled models, streams and several devices."""

import pytest
import torch
from torch import nn

from pgrad import PGrad
from tests.pgrad.integrations.problem import LENGTH, loader, net, optimizer, plain, vector

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: this check needs one")


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


@needs_cuda
def test_the_current_stream_is_used_and_left_alone():
    """A run inside a stream of the user's gives the same bits, and no stream is switched behind his back."""
    results = []
    for stream in (torch.cuda.current_stream(), torch.cuda.Stream()):
        stream.wait_stream(torch.cuda.default_stream())
        with torch.cuda.stream(stream):
            model = net().cuda()
            opt = optimizer(model.parameters())
            for x, y in loader():
                opt.zero_grad()
                nn.functional.cross_entropy(model(x.cuda()), y.cuda()).backward()
                opt.step()
                assert torch.cuda.current_stream() == stream
            results.append(vector(model).cpu())
    assert torch.equal(*results)


@needs_cuda
def test_parameters_on_two_devices():
    """One half on the CPU, the other on the GPU: one Gram matrix from both."""
    model, expected = net(), net()
    model[2].cuda()
    opt, other = (PGrad(m.parameters(), 0.01, LENGTH, inner=torch.optim.SGD) for m in (model, expected))
    for x, y in loader():
        opt.zero_grad()
        nn.functional.cross_entropy(model[2](model[:2](x).cuda()), y.cuda()).backward()
        opt.step()
    plain(expected, other)
    torch.testing.assert_close(torch.cat([p.detach().cpu().reshape(-1) for p in model.parameters()]), vector(expected))
    torch.testing.assert_close(opt.last_update.eigenvalues, other.last_update.eigenvalues, rtol=1e-3, atol=0)
