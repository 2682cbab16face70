"""Products and eigenpairs against dense matrices of a small network, and another library's products."""

import copy

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from pgrad import analysis
from tests.pgrad.analysis.small import (
    as_function,
    batches,
    dense_gauss_newton,
    dense_hessian,
    network,
    together,
    vector,
)

cross_entropy = nn.functional.cross_entropy


def one_hot_mse(outputs, targets):
    return nn.functional.mse_loss(outputs, nn.functional.one_hot(targets, outputs.shape[1]).to(outputs.dtype))


def smoothed(outputs, targets):
    return cross_entropy(outputs, targets, label_smoothing=0.1)


def weighted(outputs, targets):
    """Convex in the outputs, and neither a cross-entropy nor a square."""
    rows = torch.arange(len(outputs))
    return ((outputs**4).sum(1) + nn.functional.softplus(-outputs[rows, targets])).mean()


LOSSES = [cross_entropy, smoothed, one_hot_mse, weighted]
KINDS = {analysis.Hessian: dense_hessian, analysis.GaussNewton: dense_gauss_newton}


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("kind", KINDS)
def test_products_are_those_of_the_dense_matrix(kind, loss):
    model, pairs = network(), batches()
    curvature = kind(model, loss, pairs)
    dense = KINDS[kind](model, loss, pairs)
    directions = torch.randn(3, len(dense), dtype=torch.float64)
    torch.testing.assert_close(curvature.product(directions), directions @ dense, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(curvature.product(directions[0]), dense @ directions[0], rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(curvature.dense(), dense, rtol=1e-9, atol=1e-12)
    assert curvature.product(directions[:0]).shape == (0, len(dense))
    expected = (directions @ dense * directions).sum(1) / directions.square().sum(1)
    torch.testing.assert_close(curvature.quadratic(directions), expected)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(
    ("kind", "end"), [(analysis.Hessian, "top"), (analysis.Hessian, "bottom"), (analysis.GaussNewton, "top")]
)
def test_eigenpairs_are_those_of_the_dense_matrix(kind, end, loss):
    model, pairs = network(), batches()
    found = getattr(kind(model, loss, pairs), end)(3, tol=1e-9)
    dense = KINDS[kind](model, loss, pairs)
    expected = torch.linalg.eigvalsh(dense)
    expected = expected.flip(0)[:3] if end == "top" else expected[:3]
    torch.testing.assert_close(found.values, expected, rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(found.directions @ found.directions.T, torch.eye(3).double(), rtol=0, atol=1e-7)
    torch.testing.assert_close(found.directions @ dense, found.values[:, None] * found.directions, rtol=0, atol=1e-4)
    assert found.products >= 3


def test_the_bottom_of_the_gauss_newton_matrix_is_zero():
    """A cluster: its directions are not defined, and an accuracy relative to zero would never be reached."""
    found = analysis.GaussNewton(network(), cross_entropy, batches()).bottom(3)
    largest = float(torch.linalg.eigvalsh(dense_gauss_newton(network(), cross_entropy, batches()))[-1])
    assert found.values.abs().max() < 1e-3 * largest


@pytest.mark.parametrize("loss", LOSSES)
def test_the_top_of_the_gauss_newton_matrix_is_found_on_the_outputs_where_they_are_fewer(loss):
    many, few = (analysis.GaussNewton(network(), loss, batches(sizes=sizes)) for sizes in ((10, 20), (2, 3)))
    assert few.cost(4).vectors == 6 < many.cost(4).vectors  # 15 or 90 outputs, 43 parameters
    dense, found = dense_gauss_newton(network(), loss, batches(sizes=(2, 3))), few.top(4, tol=1e-9)
    torch.testing.assert_close(found.values, torch.linalg.eigvalsh(dense).flip(0)[:4], rtol=1e-6, atol=1e-12)
    torch.testing.assert_close(found.directions @ found.directions.T, torch.eye(4).double(), rtol=0, atol=1e-7)
    torch.testing.assert_close(found.directions @ dense, found.values[:, None] * found.directions, rtol=0, atol=1e-6)


def test_all_eigenpairs_of_a_tiny_matrix():
    model = nn.Linear(2, 1, bias=False).double()
    pairs = [(torch.randn(6, 2).double(), torch.randn(6, 1).double())]
    hessian = analysis.Hessian(model, nn.functional.mse_loss, pairs)
    found = hessian.top(2)
    torch.testing.assert_close(found.values, torch.linalg.eigvalsh(pairs[0][0].T @ pairs[0][0] / 3).flip(0))
    torch.testing.assert_close(hessian.bottom(2).values, found.values.flip(0))


def test_the_gradient_is_that_of_all_examples_at_once():
    model, pairs = network(), batches()
    expected = torch.func.grad(as_function(model, cross_entropy, pairs))(vector(model))
    torch.testing.assert_close(analysis.Hessian(model, cross_entropy, pairs).gradient(), expected)


@pytest.mark.slow  # their imports
@pytest.mark.filterwarnings("default")  # theirs
@pytest.mark.parametrize("kind", KINDS)
def test_another_library_agrees(kind):
    curvlinops = pytest.importorskip("curvlinops", reason="curvlinops is in the extra test")
    model, pairs = network(), batches()
    operator = {analysis.Hessian: "HessianLinearOperator", analysis.GaussNewton: "GGNLinearOperator"}[kind]
    theirs = getattr(curvlinops, operator)(model, nn.CrossEntropyLoss(), list(model.parameters()), pairs)
    direction = torch.randn(43, dtype=torch.float64)
    found = kind(model, cross_entropy, pairs).product(direction)
    torch.testing.assert_close(found, theirs @ direction, rtol=1e-9, atol=1e-12)


# ------------------------------------------------------------------------------------------------------- properties


@pytest.mark.parametrize("kind", KINDS)
def test_batches_may_be_cut_and_ordered_in_any_way(kind):
    model, (inputs, targets) = network(), together(batches())
    loader = DataLoader(TensorDataset(inputs, targets), batch_size=6, shuffle=True)
    direction = torch.randn(43, dtype=torch.float64)
    found = kind(model, cross_entropy, loader).product(direction)
    torch.testing.assert_close(found, kind(model, cross_entropy, [(inputs, targets)]).product(direction))


def test_a_scaled_loss_scales_the_eigenvalues():
    model, pairs = network(), batches()
    one = analysis.GaussNewton(model, cross_entropy, pairs).top(2)
    thousand = analysis.GaussNewton(model, lambda z, y: 1000 * cross_entropy(z, y), pairs).top(2)
    torch.testing.assert_close(thousand.values, 1000 * one.values, rtol=1e-6, atol=0)
    torch.testing.assert_close((thousand.directions @ one.directions.T).abs(), torch.eye(2).double(), rtol=0, atol=1e-4)


def test_hidden_units_may_be_permuted():
    model, pairs = network(), batches()
    other = copy.deepcopy(model)
    order = torch.tensor([3, 1, 4, 0, 2])
    with torch.no_grad():
        other[0].weight.copy_(model[0].weight[order])
        other[0].bias.copy_(model[0].bias[order])
        other[2].weight.copy_(model[2].weight[:, order])
    for kind in KINDS:
        one, two = (kind(m, cross_entropy, pairs).top(3, tol=1e-10).values for m in (model, other))
        torch.testing.assert_close(one, two)


def test_nothing_of_the_model_changes():
    model, pairs = nn.Sequential(nn.BatchNorm1d(4), network()).double().eval(), batches()
    before = copy.deepcopy(model.state_dict())
    for kind in KINDS:
        kind(model, cross_entropy, pairs).top(2)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])
    assert all(p.grad is None for p in model.parameters())


def test_only_the_chosen_parameters_count():
    model, pairs = network(), batches()
    whole = dense_hessian(model, cross_entropy, pairs)
    last = analysis.Hessian(model, cross_entropy, pairs, params=model[2].parameters())
    torch.testing.assert_close(last.dense(), whole[-18:, -18:], rtol=1e-9, atol=1e-12)
    model[0].requires_grad_(False)
    assert analysis.Hessian(model, cross_entropy, pairs).size == 18


def test_a_parameter_that_the_loss_does_not_see_has_no_curvature():
    model, pairs = network(), batches()
    model.register_parameter("unused", nn.Parameter(torch.ones(2).double()))
    for kind, dense in KINDS.items():
        del model._parameters["unused"]
        expected = dense(model, cross_entropy, pairs)
        model.register_parameter("unused", nn.Parameter(torch.ones(2).double()))
        found = kind(model, cross_entropy, pairs).dense()
        unused = [name for name, _ in model.named_parameters()].index("unused")
        assert unused == 0
        torch.testing.assert_close(found[2:, 2:], expected, rtol=1e-9, atol=1e-12)
        assert not found[:2].any()
        assert not found[:, :2].any()


def test_tied_parameters_count_once():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.one = self.other = nn.Parameter(torch.randn(4, 4).double() / 2)

        def forward(self, x):
            return torch.tanh(x @ self.one) @ self.other

    model, pairs = Tied(), batches(outputs=4)
    for kind in KINDS:
        assert kind(model, cross_entropy, pairs).size == 16
    dense = dense_hessian(model, cross_entropy, pairs)
    torch.testing.assert_close(analysis.Hessian(model, cross_entropy, pairs).dense(), dense, rtol=1e-9, atol=1e-12)


def test_autocast_outside_does_not_reach_the_products():
    model, pairs = network(dtype=torch.float32), batches(dtype=torch.float32)
    direction = torch.randn(43)
    for kind in KINDS:
        expected = kind(model, cross_entropy, pairs).product(direction)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert torch.equal(kind(model, cross_entropy, pairs).product(direction), expected)
            kind(model, cross_entropy, pairs).top(2)


def test_a_difference_is_sharp_for_one_and_flat_for_the_other():
    model, one, other = network(), batches(seed=1), batches(seed=2)
    hessians = [analysis.Hessian(model, cross_entropy, pairs) for pairs in (one, other)]
    found = analysis.Difference(*hessians).top(1, tol=1e-10)
    dense = dense_hessian(model, cross_entropy, one) - dense_hessian(model, cross_entropy, other)
    torch.testing.assert_close(found.values[0], torch.linalg.eigvalsh(dense)[-1])
    sharp, flat = (hessian.quadratic(found.directions[0]) for hessian in hessians)
    torch.testing.assert_close(sharp - flat, found.values[0])


# -------------------------------------------------------------------------------------------------------- bad input


def test_what_cannot_be_analysed_is_refused_in_words():
    model, pairs = network(), batches()
    hessian = analysis.Hessian
    with pytest.raises(ValueError, match="at least one example, got none"):
        hessian(model, cross_entropy, [])
    with pytest.raises(TypeError, match="looped over again"):
        hessian(model, cross_entropy, iter(pairs))
    with pytest.raises(TypeError, match=r"pairs \(inputs, targets\), got dict"):
        hessian(model, cross_entropy, [{"x": 1}])
    with pytest.raises(TypeError, match="one number, the mean over the batch"):
        hessian(model, nn.CrossEntropyLoss(reduction="none"), pairs)
    with pytest.raises(RuntimeError, match="inference_mode must be off"), torch.inference_mode():
        hessian(model, cross_entropy, pairs)
    with pytest.raises(FloatingPointError, match="loss is nan"):
        hessian(model, lambda z, y: z.sum() * float("nan"), pairs)
    with pytest.raises(TypeError, match="half precision are noise"):
        hessian(copy.deepcopy(model).bfloat16(), cross_entropy, pairs)
    with pytest.raises(ValueError, match="requires a gradient, got none"):
        hessian(copy.deepcopy(model).requires_grad_(False), cross_entropy, pairs)
    with pytest.raises(ValueError, match="must be of the model"):
        hessian(model, cross_entropy, pairs, params=[torch.zeros(2, requires_grad=True)])
    with pytest.raises(ValueError, match="one dtype"):
        hessian(nn.Sequential(network(dtype=torch.float32), nn.Linear(3, 3).double()), cross_entropy, pairs)


@pytest.mark.parametrize("layer", [nn.Dropout(0.1), nn.BatchNorm1d(4)])
def test_a_model_in_training_mode_is_refused_where_that_matters(layer):
    pairs = batches()
    with pytest.raises(ValueError, match=rf"got {type(layer).__name__} '0' in training mode.*model\.eval\(\)"):
        analysis.Hessian(nn.Sequential(layer, network()).double(), cross_entropy, pairs)
    analysis.Hessian(nn.Sequential(layer, network()).double().eval(), cross_entropy, pairs)
    analysis.Hessian(network().train(), cross_entropy, pairs)


class Dropping(nn.Module):
    """Dropout that is no module."""

    def __init__(self):
        super().__init__()
        self.inner = network()

    def forward(self, x):
        return self.inner(nn.functional.dropout(x, 1e-3, self.training))


def test_chance_and_writing_in_training_mode_are_refused_wherever_they_come_from():
    torch.manual_seed(0)
    sizes = (2000,)
    with pytest.raises(ValueError, match=r"for the same batch: something in it draws at random.*model\.eval\(\)"):
        analysis.Hessian(Dropping(), cross_entropy, batches(sizes=sizes))
    analysis.Hessian(Dropping().eval(), cross_entropy, batches(sizes=sizes))
    norm = nn.InstanceNorm1d(1, track_running_stats=True).double()
    model = nn.Sequential(nn.Unflatten(1, (1, 4)), norm, nn.Flatten(), network())
    with pytest.raises(ValueError, match=r"writes to its buffer '1\.running_mean'.*model\.eval\(\)"):
        analysis.Hessian(model, cross_entropy, batches())
    assert (norm.running_mean.item(), norm.running_var.item(), norm.num_batches_tracked.item()) == (0, 1, 0)
    analysis.Hessian(model.eval(), cross_entropy, batches())


@pytest.mark.parametrize("kind", KINDS)
def test_batches_that_change_from_pass_to_pass_are_noticed(kind):
    class Jittered:
        def __iter__(self):
            return ((x + torch.randn_like(x), y) for x, y in batches())

    curvature = kind(network(), cross_entropy, Jittered())
    with pytest.raises(RuntimeError, match="the same examples each time"):
        curvature.product(torch.randn(43))


def test_weights_may_change_between_two_products():
    model, pairs = network(), batches()
    hessian = analysis.Hessian(model, cross_entropy, pairs)
    hessian.product(torch.randn(43))
    with torch.no_grad():
        model[0].weight.mul_(3)
    torch.testing.assert_close(hessian.dense(), dense_hessian(model, cross_entropy, pairs), rtol=1e-9, atol=1e-12)


def test_numbers_of_eigenpairs():
    hessian = analysis.Hessian(network(), cross_entropy, batches())
    gauss_newton = analysis.GaussNewton(network(), cross_entropy, batches(sizes=(2, 2)))
    for k in (0, 44):
        with pytest.raises(ValueError, match=f"from 1 to the number of parameters, 43, got {k}"):
            hessian.top(k)
    with pytest.raises(TypeError, match="k must be an int"):
        hessian.bottom(2.0)
    with pytest.raises(ValueError, match="rank of the Gauss-Newton matrix, about 8, got 9"):
        gauss_newton.top(9)  # 12 outputs, and each example's probabilities sum to one
    with pytest.raises(ValueError, match="max_products must be None or at least 20"):
        hessian.top(3, max_products=5)
    with pytest.raises(RuntimeError, match=r"not converged to tol=1e-12 within 2\d products"):
        hessian.top(9, tol=1e-12, max_products=22)
    with pytest.raises(ValueError, match="directions must not be zero"):
        hessian.quadratic(torch.zeros(43))
    with pytest.raises(ValueError, match="one number for each of 43 parameters, got"):
        hessian.product(torch.zeros(3))


def test_a_loss_that_is_no_mean_of_convex_losses_has_no_top_on_the_outputs():
    few = batches(sizes=(2, 3))
    for loss in (lambda z, y: z.mean() ** 4, lambda z, y: -z.square().mean()):
        with pytest.raises(ValueError, match="a mean over examples"):
            analysis.GaussNewton(network(), loss, few).top(2)


class Opaque(torch.autograd.Function):
    """Tripled, without a derivative in forward mode."""

    @staticmethod
    def forward(ctx, x):
        return 3 * x

    @staticmethod
    def backward(ctx, grad):
        return 3 * grad


class Dead(Opaque):
    """The same without a second derivative."""

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        return 3 * grad


def through(operation):
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = network()

        def forward(self, x):
            return operation(self.inner(x))

    return Model()


def test_an_operation_without_forward_mode_is_taken_by_two_backward_passes():
    expected = dense_gauss_newton(through(lambda z: 3 * z), cross_entropy, batches())
    curvature = analysis.GaussNewton(through(Opaque.apply), cross_entropy, batches())
    torch.testing.assert_close(curvature.dense(), expected, rtol=1e-9, atol=1e-12)
    few = batches(sizes=(2, 3))
    expected = dense_gauss_newton(through(lambda z: 3 * z), cross_entropy, few)
    found = analysis.GaussNewton(through(Opaque.apply), cross_entropy, few).top(3).values
    torch.testing.assert_close(found, torch.linalg.eigvalsh(expected).flip(0)[:3], rtol=1e-6, atol=1e-12)


def test_an_operation_without_second_derivatives_is_named():
    for kind in KINDS:
        with pytest.raises(ValueError, match=r"must have second derivatives.*another implementation.*once_diff"):
            kind(through(Dead.apply), cross_entropy, batches()).product(torch.randn(43))


class Attention(nn.Module):
    """One block, by torch's fused attention, or from products of matrices."""

    def __init__(self, fused):
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        self.fused = fused
        self.mixing = nn.Parameter(torch.randn(4, 12, generator=generator, dtype=torch.float64))
        self.out = nn.Parameter(torch.randn(4, 3, generator=generator, dtype=torch.float64))

    def forward(self, x):  # [n, 4]: four tokens
        tokens = torch.stack([x, x.roll(1, 1), x.flip(1), -x], dim=1)
        query, key, value = (tokens @ self.mixing).chunk(3, dim=-1)
        if self.fused:
            mixed = nn.functional.scaled_dot_product_attention(query[:, None], key[:, None], value[:, None])[:, 0]
        else:
            mixed = (query @ key.mT / 2).softmax(-1) @ value
        return (mixed @ self.out).mean(1)


@pytest.mark.parametrize("kind", KINDS)
def test_attention_is_taken_from_products_of_matrices(kind):
    """torch's fused kernel has no second derivatives."""
    expected = KINDS[kind](Attention(fused=False), cross_entropy, batches())
    found = kind(Attention(fused=True), cross_entropy, batches())
    torch.testing.assert_close(found.dense(), expected, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(found.top(3, tol=1e-8).values, torch.linalg.eigvalsh(expected).flip(0)[:3])


@pytest.mark.parametrize("kind", KINDS)
def test_layers_with_another_way_without_gradients(kind):
    """`nn.TransformerEncoderLayer` has a fused one, without derivatives in forward mode."""
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True).double().eval()
    model = nn.Sequential(nn.Unflatten(1, (1, 4)), layer, nn.Flatten(), nn.Linear(4, 3).double()).eval()
    fast = torch.backends.mha.get_fastpath_enabled()
    found = kind(model, cross_entropy, batches(sizes=(4,))).top(2)
    assert torch.backends.mha.get_fastpath_enabled() == fast
    directions = found.directions
    products = kind(model, cross_entropy, batches(sizes=(4,))).product(directions)
    torch.testing.assert_close(products, found.values[:, None] * directions, rtol=1e-3, atol=1e-3)


# ----------------------------------------------------------------------------------------------------- what is kept


class Counted(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner, self.calls = network(), 0

    def forward(self, x):
        self.calls += 1
        return self.inner(x)


@pytest.mark.parametrize("sizes", [(20,), (7, 13)])
def test_the_graph_of_a_single_batch_is_kept_for_all_products(sizes):
    pairs = batches(sizes=sizes)
    model = Counted()
    hessian = analysis.Hessian(model, cross_entropy, pairs)
    expected = dense_hessian(network(), cross_entropy, pairs)
    before = model.calls
    found = hessian.top(3, tol=1e-8)
    torch.testing.assert_close(found.values, torch.linalg.eigvalsh(expected).flip(0)[:3])
    assert model.calls - before == (1 if len(sizes) == 1 else 2 * found.products)
    with torch.no_grad():
        model.inner[0].weight.mul_(2)  # nothing is kept beyond
    expected = dense_hessian(model.inner, cross_entropy, pairs)
    torch.testing.assert_close(hessian.top(3, tol=1e-8).values, torch.linalg.eigvalsh(expected).flip(0)[:3])
    torch.testing.assert_close(analysis.trace(hessian, 3).value, trace_of(expected, 3))


def trace_of(dense, samples):
    """From the vectors of signs that `trace` draws."""
    generator = torch.Generator().manual_seed(0)
    signs = [(torch.randint(2, (len(dense),), generator=generator) * 2 - 1).double() for _ in range(samples)]
    return float(sum(sign @ dense @ sign for sign in signs) / samples)


def test_the_cost_is_said_before(capsys):
    hessian = analysis.Hessian(network(), cross_entropy, batches())
    cost = hessian.cost(2)
    assert (cost.products, cost.gradients) == (20, 60)
    hessian.top(2, progress=True)
    first, *_ = capsys.readouterr().err.splitlines()
    assert first == f"the 2 largest eigenvalues of the Hessian: {cost}"
    told = []
    found = hessian.top(2, progress=lambda *line: told.append(line))
    assert [done for _, done, _ in told] == list(range(1, found.products + 1))
    with pytest.raises(TypeError, match="progress must be"):
        hessian.top(2, progress="yes")
