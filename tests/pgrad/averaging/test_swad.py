"""SWAD against the paper's algorithm written down in one piece, and averages of torch over anchors."""

import io

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, update_bn

from pgrad import PGrad
from pgrad.averaging import SWAD


def scalar(value=0.0, dtype=torch.float64):
    model = nn.Linear(1, 1, bias=False, dtype=dtype)
    nn.init.constant_(model.weight, value)
    return model


def paper(points, losses, converge, overfit, tolerance):
    """All segments at once, from the definition: (mean, number of points, finished) or None without a valley."""
    for s in range(len(losses) - converge + 1):
        window = losses[s : s + converge]
        if losses[s] == min(window):
            break
    else:
        return None
    threshold = (1 + tolerance) * sum(window) / converge
    above = [loss > threshold for loss in losses]
    for stop in range(s + converge, len(losses) + 1):  # when the beginning is decided, so many losses are known
        end = stop
        while end > s and above[end - 1]:
            end -= 1
        finished = stop - end >= overfit
        if finished:
            break
    inside = [value for segment in points[s:end] for value in segment]
    return sum(inside) / max(len(inside), 1), len(inside), finished


@settings(max_examples=150, deadline=None)
@given(
    losses=st.lists(st.floats(0.0, 4.0), min_size=1, max_size=14),
    sizes=st.lists(st.integers(1, 3), min_size=14, max_size=14),
    converge=st.integers(1, 4),
    overfit=st.integers(1, 4),
    tolerance=st.sampled_from([0.0, 0.1, 0.5]),
)
def test_it_is_the_definition(losses, sizes, converge, overfit, tolerance):
    model = scalar()
    swad = SWAD(model, converge, overfit, tolerance)
    points, value = [], 0.0
    for loss, size in zip(losses, sizes, strict=False):
        points.append([])
        for _ in range(size):
            value += 1.0
            points[-1].append(value)
            nn.init.constant_(model.weight, value)
            swad.update()
        swad.validate(loss)
    expected = paper(points, losses, converge, overfit, tolerance)
    if expected is None:
        assert swad.threshold is None
        with pytest.raises(RuntimeError, match="no average yet"):
            swad.average()
        return
    mean, count, finished = expected
    assert (swad.count, swad.finished) == (count, finished)
    if count:
        assert swad.average()["weight"].item() == pytest.approx(mean, rel=1e-12)


def noisy(seed=0):
    """A model that walks at random, with points and losses for SWAD."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


LOSSES = [2.0, 1.0, 1.1, 1.05, 1.3, 1.2, 3.0, 1.0, 3.0, 3.0, 3.0]


def walk(model, swad, start, stop, generator):
    for step in range(start, stop):
        with torch.no_grad():
            for p in model.parameters():
                p.add_(torch.randn(p.shape, generator=generator))
        swad.update()
        if step % 2:
            swad.validate(LOSSES[step // 2])


@pytest.mark.parametrize("stop", [1, 2, 5, 8, 15, 20])
def test_resume_is_bit_for_bit(stop):
    settings = {"converge_patience": 3, "overfit_patience": 3}
    generator, model = torch.Generator().manual_seed(1), noisy()
    whole = SWAD(model, **settings)
    walk(model, whole, 0, 22, generator)
    assert whole.finished

    generator, model = torch.Generator().manual_seed(1), noisy()
    first = SWAD(model, **settings)
    walk(model, first, 0, stop, generator)
    file = io.BytesIO()
    torch.save({"model": model.state_dict(), "swad": first.state_dict()}, file)
    walk(model, first, stop, stop + 2, torch.Generator().manual_seed(9))  # the saved bytes do not notice
    saved = torch.load(io.BytesIO(file.getvalue()), weights_only=True)

    other = noisy(seed=2)
    other.load_state_dict(saved["model"])
    second = SWAD(other, **settings)
    second.load_state_dict(saved["swad"])
    walk(other, second, stop, 22, generator)
    assert second.finished
    assert second.threshold == whole.threshold
    for name, mean in whole.average().items():
        assert torch.equal(second.average()[name], mean), name


def test_a_loaded_state_is_not_shared():
    model = scalar(1.0)
    first = SWAD(model)
    first.update()
    second = SWAD(model)
    second.load_state_dict(first.state_dict())
    nn.init.constant_(model.weight, 3.0)
    second.update()
    assert first.state_dict()["open"]["mean"]["weight"].item() == 1.0
    assert second.state_dict()["open"]["mean"]["weight"].item() == 2.0


def test_copies_that_are_held_do_not_grow():
    model = noisy()
    swad = SWAD(model, converge_patience=2, overfit_patience=4)
    for step in range(40):
        swad.update()
        swad.validate(1.0 if step % 4 else 9.0)
        assert len(swad.state_dict()["waiting"]) <= 4
    assert not swad.finished
    assert swad.count == 39  # the first loss, above the others, is before the valley


def test_half_precision_is_averaged_in_float32():
    """256 + 1 is 256 in bfloat16: a mean kept there would stand still."""
    model = scalar(256.0, torch.bfloat16)
    swad = SWAD(model, converge_patience=1)
    for value in (256.0, 258.0, 260.0, 262.0):
        nn.init.constant_(model.weight, value)
        swad.update()
    swad.validate(1.0)
    held = swad.state_dict()["valley"]["mean"]["weight"]
    assert (held.dtype, held.item()) == (torch.float32, 259.0)
    assert swad.average()["weight"].dtype == torch.bfloat16


def test_copy_to_leaves_buffers_and_checks_the_model():
    model = noisy()
    swad = SWAD(model, converge_patience=1)
    swad.update()
    with pytest.raises(RuntimeError, match="no average yet"):
        swad.copy_to(model)
    swad.validate(torch.tensor(1.0))
    other = noisy(seed=3)
    other[1].running_mean.fill_(5.0)
    swad.copy_to(other)
    assert all(map(torch.equal, other.parameters(), model.parameters()))
    assert (other[1].running_mean == 5.0).all()
    x = torch.randn(16, 3)
    update_bn([x], other)
    torch.testing.assert_close(other[1].running_mean, other[0](x).mean(0))
    with pytest.raises(ValueError, match=r"model must have the same parameters.*'weight'"):
        swad.copy_to(scalar())


@pytest.mark.parametrize(
    ("kwargs", "error", "match"),
    [
        ({"model": [1]}, TypeError, "model must be a torch.nn.Module, got list"),
        ({"converge_patience": 0}, ValueError, "converge_patience must be at least 1, got 0"),
        ({"converge_patience": 1.0}, TypeError, "converge_patience must be a positive int, got 1.0"),
        ({"overfit_patience": -1}, ValueError, "overfit_patience must be at least 1, got -1"),
        ({"tolerance": float("nan")}, ValueError, "tolerance must be finite and not negative, got nan"),
        ({"tolerance": "0.3"}, TypeError, "tolerance must be a number, got '0.3'"),
    ],
)
def test_bad_arguments(kwargs, error, match):
    with pytest.raises(error, match=match):
        SWAD(**{"model": scalar(), **kwargs})


def test_bad_losses():
    swad = SWAD(scalar())
    with pytest.raises(RuntimeError, match=r"at least with update\(\)"):
        swad.validate(1.0)
    swad.update()
    for loss in (float("nan"), float("inf"), -1.0):
        with pytest.raises(ValueError, match="loss must be finite and not negative"):
            swad.validate(loss)
    for loss in (None, torch.ones(2), True):
        with pytest.raises(TypeError, match="loss must be a number"):
            swad.validate(loss)
    swad.validate(1.0)  # nothing was lost


def test_bad_states():
    swad = SWAD(scalar())
    swad.update()
    state = swad.state_dict()
    with pytest.raises(ValueError, match=r"lacks \['open'\]"):
        swad.load_state_dict({k: v for k, v in state.items() if k != "open"})
    with pytest.raises(ValueError, match=r"saved with tolerance=0\.3, here it is 0.2"):
        SWAD(scalar(), tolerance=0.2).load_state_dict(state)
    with pytest.raises(ValueError, match="state_dict must have the same parameters, but these differ in name or shape"):
        SWAD(noisy()).load_state_dict(state)


# ------------------------------------------------------------------------------------- torch's averages over anchors


@pytest.mark.parametrize("decay", [None, 0.5])
def test_averaged_model_over_anchors(decay):
    """SWA and EMA of torch, updated at anchors only, are the averages of the points between roll-outs."""
    torch.manual_seed(0)
    model = nn.Linear(3, 1)
    opt = PGrad(model.parameters(), lr=0.1, rollout_length=3, outer_lr=0.5)
    averaged = AveragedModel(model, multi_avg_fn=None if decay is None else get_ema_multi_avg_fn(decay))
    anchors = []
    for _ in range(12):
        opt.zero_grad()
        model(torch.randn(4, 3)).square().mean().backward()
        opt.step()
        if opt.rollout_position == 0:
            averaged.update_parameters(model)
            anchors.append(model.weight.detach().clone())
    assert len(anchors) == 4
    expected = anchors[0]
    for n, anchor in enumerate(anchors[1:], 2):
        share = 1 / n if decay is None else 1 - decay
        expected = expected + share * (anchor - expected)
    torch.testing.assert_close(averaged.module.weight, expected)


def test_swad_over_anchors_keeps_inner_iterates_out():
    torch.manual_seed(0)
    model = nn.Linear(3, 1)
    opt = PGrad(model.parameters(), lr=0.1, rollout_length=3, outer_lr=0.5)
    swad = SWAD(model, converge_patience=1)
    anchors = []
    for _ in range(12):
        opt.zero_grad()
        model(torch.randn(4, 3)).square().mean().backward()
        opt.step()
        if opt.rollout_position == 0:
            swad.update()
            anchors.append(model.weight.detach().clone())
    swad.validate(1.0)
    torch.testing.assert_close(swad.average()["weight"], torch.stack(anchors).mean(0))
