"""A network so small that its matrices can be written down, and the objective as a function of one vector."""

import torch
from torch import nn
from torch.func import functional_call


def network(outputs=3, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, outputs)).to(dtype)
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn(p.shape, generator=generator, dtype=torch.float64) / 2)
    return model


def batches(sizes=(7, 13), outputs=3, seed=1, dtype=torch.float64):
    """Pairs of unequal sizes, so that a mean of means would be wrong."""
    generator = torch.Generator().manual_seed(seed)
    return [
        (
            torch.randn(size, 4, generator=generator, dtype=torch.float64).to(dtype),
            torch.randint(outputs, (size,), generator=generator),
        )
        for size in sizes
    ]


def together(pairs):
    inputs, targets = zip(*pairs, strict=True)
    return torch.cat(inputs), torch.cat(targets)


def as_function(model, loss, pairs):
    """theta [d] -> the mean loss of all examples at once."""
    inputs, targets = together(pairs)
    names = [name for name, _ in model.named_parameters()]
    shapes = [p.shape for p in model.parameters()]

    def function(theta):
        parts = theta.split([shape.numel() for shape in shapes])
        weights = {name: part.view(shape) for name, part, shape in zip(names, parts, shapes, strict=True)}
        return loss(functional_call(model, weights, (inputs,)), targets)

    return function


def vector(model):
    return torch.cat([p.detach().reshape(-1) for p in model.parameters()])


def dense_hessian(model, loss, pairs):
    return torch.autograd.functional.hessian(as_function(model, loss, pairs), vector(model))


def dense_gauss_newton(model, loss, pairs):
    """J' L J from a dense Jacobian and the dense second derivatives of the loss by all outputs at once."""
    inputs, targets = together(pairs)
    names = [name for name, _ in model.named_parameters()]
    shapes = [p.shape for p in model.parameters()]

    def outputs(theta):
        parts = theta.split([shape.numel() for shape in shapes])
        weights = {name: part.view(shape) for name, part, shape in zip(names, parts, shapes, strict=True)}
        return functional_call(model, weights, (inputs,)).reshape(-1)

    theta = vector(model)
    jacobian = torch.autograd.functional.jacobian(outputs, theta)
    at = outputs(theta).detach()
    curved = torch.autograd.functional.hessian(lambda z: loss(z.view(len(inputs), -1), targets), at)
    return jacobian.T @ curved @ jacobian
