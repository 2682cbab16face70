"""What only a CUDA device has: streams, graphs, a second device, and an allocator that counts."""

import functools
import gc

import pytest
import torch
from torch import nn

from pgrad import PGrad, aggregation
from tests.pgrad.integrations.problem import LENGTH, dense, distance, loader, net, optimizer, vector

CYCLES = 1_000_000  # of a kernel that only waits, about half a millisecond: what does not wait for it comes too early


def batches():
    found = [(x.double().cuda(), y.cuda()) for x, y in loader()]
    torch.cuda.synchronize()
    return found


@pytest.mark.cuda
@pytest.mark.parametrize("place", [None, "cpu"])
def test_a_stream_of_the_users_for_everything(place):
    model, stream = net().double().cuda(), torch.cuda.Stream()
    data = batches()
    with torch.cuda.stream(stream):
        opt = PGrad(model.parameters(), 0.01, LENGTH, outer_lr=0.5, trajectory_device=place)
        for x, y in data:
            torch.cuda._sleep(CYCLES)
            opt.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            opt.step()
            assert torch.cuda.current_stream() == stream
    stream.synchronize()
    assert distance(model, dense(torch.optim.Adam)) < 1e-9


@pytest.mark.cuda
@pytest.mark.parametrize("place", [None, "cpu"])
def test_a_stream_of_the_users_for_forward_and_backward(place):
    """The step is made on the current stream, which waits for the gradients, and the next forward pass for the step."""
    model, side = net().double().cuda(), torch.cuda.Stream()
    data, current = batches(), torch.cuda.current_stream()
    opt = PGrad(model.parameters(), 0.01, LENGTH, outer_lr=0.5, trajectory_device=place)
    for x, y in data:
        side.wait_stream(current)
        with torch.cuda.stream(side):
            torch.cuda._sleep(CYCLES)
            opt.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
        current.wait_stream(side)
        torch.cuda._sleep(CYCLES)
        opt.step()
        assert torch.cuda.current_stream() == current
    torch.cuda.synchronize()
    assert distance(model, dense(torch.optim.Adam)) < 1e-9


@pytest.mark.cuda(devices=1)
@pytest.mark.parametrize("place", [None, "cpu"])
def test_half_on_the_cpu(place):
    """One Gram matrix from both."""
    on_two_devices("cpu", "cuda", place)


@pytest.mark.cuda(devices=2)
@pytest.mark.parametrize("place", [None, "cpu"])
def test_two_cuda_devices(place):
    on_two_devices("cuda:0", "cuda:1", place)


def on_two_devices(first, second, place):
    model = net().double()
    model[:2].to(first)
    model[2].to(second)
    opt = PGrad(model.parameters(), 0.01, LENGTH, outer_lr=0.5, trajectory_device=place)
    for x, y in loader():
        opt.zero_grad()
        nn.functional.cross_entropy(model[2](model[:2](x.double().to(first)).to(second)), y.to(second)).backward()
        opt.step()
    assert [p.device for p in model.parameters()] == [
        torch.empty(0, device=d).device for d in 2 * [first] + 2 * [second]
    ]
    assert distance(model, dense(torch.optim.Adam)) < 1e-9


STEPS = 5
MEMORY = {
    "as the parameters": ({}, STEPS),
    "bfloat16": ({"trajectory_dtype": torch.bfloat16}, 1 + (STEPS - 1) / 2),
    "host": ({"trajectory_device": "cpu"}, 1),
    "displacement": ({"aggregation": aggregation.displacement}, 1),
}


@pytest.mark.cuda
@pytest.mark.parametrize("case", MEMORY)
def test_memory_in_vectors_of_the_size_of_the_model(case):
    options, vectors = MEMORY[case]
    weight = nn.Parameter(torch.zeros(1 << 22, device="cuda"))
    weight.grad = torch.ones_like(weight)
    opt = PGrad([weight], 0.1, STEPS, inner=torch.optim.SGD, **options)
    gc.collect()  # nothing of other tests is freed in between
    before = torch.cuda.memory_allocated()
    for _ in range(STEPS - 1):
        opt.step()
    held = (torch.cuda.memory_allocated() - before) / (4 * weight.numel())
    assert held == pytest.approx(vectors, abs=0.02)


@pytest.mark.cuda
def test_an_outer_step_takes_no_vector_more():
    """Temporaries are parts of the vectors; the first roll-out is there for what cuBLAS keeps."""
    weight = nn.Parameter(torch.zeros(1 << 26, device="cuda"))
    weight.grad = torch.ones_like(weight)
    opt = PGrad([weight], 0.1, 3, inner=torch.optim.SGD)
    for _ in range(5):
        opt.step()
    gc.collect()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    opt.step()
    assert opt.rollout_position == 0
    assert torch.cuda.max_memory_allocated() - before < 0.5 * 4 * weight.numel()


@pytest.mark.cuda
@pytest.mark.parametrize("done", range(LENGTH))
def test_a_capture_in_a_cuda_graph_is_refused_by_name(done):
    """A graph can neither count its replays as inner steps nor read the Gram matrix; refused, the capture goes on."""
    model, data = net().double().cuda(), batches()
    inner = functools.partial(torch.optim.Adam, capturable=True)
    opt = PGrad(model.parameters(), 0.01, LENGTH, outer_lr=0.5, inner=inner)

    def train(start, stop):
        for x, y in data[start:stop]:
            opt.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            opt.step()

    train(0, LENGTH + done)
    before, counter = vector(model), torch.zeros(1, device="cuda")
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        counter.add_(1)  # a graph without a kernel is warned about
        with pytest.raises(RuntimeError, match="CUDA graph"):
            opt.step()
    graph.replay()
    assert counter.item() == 1
    assert opt.rollout_position == done
    assert torch.equal(vector(model), before)
    train(LENGTH + done, 9)
    assert distance(model, dense(torch.optim.Adam)) < 1e-9


def test_a_capture_is_what_torch_says_it_is(monkeypatch):
    """The same where there is no device: torch is made to say that the current stream is capturing."""
    model = net()
    opt = optimizer(model.parameters())
    model(torch.ones(1, 6)).sum().backward()
    before = vector(model)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)
    with pytest.raises(RuntimeError, match="CUDA graph"):
        opt.step()
    assert opt.rollout_position == 0
    assert torch.equal(vector(model), before)
