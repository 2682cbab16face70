"""What the checks on several ranks share: a problem cut over the ranks, and the same problem on one."""

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.tensor import DTensor

import pgrad

DOMAINS = 3
BATCH = 8


def net(dtype=torch.float64, seed=0):
    """Sizes that two and four ranks cannot cut evenly; the last layer leaves the fourth rank nothing."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3)).to(dtype)


def optimizer(model, **options):
    momentum = {"outer": lambda params, lr: torch.optim.SGD(params, lr=lr, momentum=0.9)}
    return pgrad.PGrad(model.parameters(), **{"lr": 0.01, "rollout_length": 4, "outer_lr": 0.5, **momentum, **options})


def batch(step, dtype=torch.float64):
    generator = torch.Generator().manual_seed(1000 + step)
    x = torch.randn(BATCH, 5, generator=generator, dtype=torch.float64) + step % DOMAINS
    y = torch.randint(3, (BATCH,), generator=generator)
    return x.to(dtype), y


def train(model, opt, start, stop, part=slice(None), dtype=torch.float64):
    """Steps start .. stop - 1, each on `part` of its batch, where the model is."""
    place = next(model.parameters()).device
    for step in range(start, stop):
        x, y = (tensor.to(place) for tensor in batch(step, dtype))
        opt.zero_grad()
        nn.functional.cross_entropy(model(x[part]), y[part]).backward()
        opt.step()


def here():
    """The device of the backend."""
    return "cuda" if dist.get_backend() == "nccl" else "cpu"


def mine():
    """The examples of this rank: the mean over the ranks is the mean over the batch."""
    return slice(dist.get_rank(), None, dist.get_world_size())


def alone(start, stop, **options):
    """The same training without ranks."""
    model = net()
    opt = optimizer(model, **options)
    train(model, opt, start, stop)
    return model, opt


def whole(tensor):
    tensor = tensor.detach()
    return (tensor.full_tensor() if isinstance(tensor, DTensor) else tensor).clone()


def vector(model):
    return torch.cat([whole(p).reshape(-1) for p in model.parameters()])


def close(found, expected, tolerance=1e-9):
    error = float((found.cpu() - expected).norm() / expected.norm())
    assert error < tolerance, f"relative error {error}"


def gathered(value):
    values = [None] * dist.get_world_size()
    dist.all_gather_object(values, value)
    return values


def same_everywhere(tensor):
    """Bit for bit."""
    assert len(set(gathered(tensor.contiguous().view(-1).view(torch.uint8).numpy().tobytes()))) == 1


def raised(error, function, *args, **kwargs):
    """The message of the error that must come, on every rank."""
    try:
        function(*args, **kwargs)
    except error as found:
        return str(found)
    raise AssertionError(f"no {error.__name__}")
