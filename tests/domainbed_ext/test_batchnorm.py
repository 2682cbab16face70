import torch
from torch import nn

from domainbed_ext.batchnorm import statistics_of_the_anchor


def _network():
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.BatchNorm1d(4))


def test_statistics_are_those_of_forward_passes_at_the_point_where_the_parameters_end():
    network, twin = _network(), _network()
    inputs = [torch.randn(8, 4), torch.randn(8, 4)]
    end = 0.01 * torch.randn(4, 4)
    with statistics_of_the_anchor(network, inputs):
        for scale in (1.0, 10.0, 100.0):  # the walk
            with torch.no_grad():
                network[0].weight.fill_(scale)
            network(torch.randn(8, 4) * scale)
        with torch.no_grad():
            network[0].weight.copy_(end)
    with torch.no_grad():
        twin[0].weight.copy_(end)
        for x in inputs:
            twin(x)
    torch.testing.assert_close(dict(network.named_buffers()), dict(twin.named_buffers()), rtol=0, atol=0)
    assert network[1].num_batches_tracked == len(inputs)


def test_frozen_statistics_and_the_random_state_are_left_alone():
    network = _network()
    for m in network:
        if isinstance(m, nn.BatchNorm1d):
            m.eval()
    before = {name: buffer.clone() for name, buffer in network.named_buffers()}
    calls = []
    network.register_forward_hook(lambda *_: calls.append(1))
    with statistics_of_the_anchor(network, [torch.randn(8, 4)]):
        network(torch.randn(8, 4))
    assert len(calls) == 1  # no further pass
    torch.testing.assert_close(dict(network.named_buffers()), before, rtol=0, atol=0)
