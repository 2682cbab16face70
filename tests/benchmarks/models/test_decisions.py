"""The transformer over steps: it looks back only, treats options alike, and never takes an illegal one."""

import pytest
import torch

from benchmarks.base.values import BINS
from benchmarks.models import MODELS, build
from benchmarks.models.decisions import NEVER, OptionScorer
from benchmarks.models.settings import ModelSettings

STEPS, ROWS, OPTIONS, COLUMNS = 6, 2, 4, 3


def windows(n=5, columns=COLUMNS, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, STEPS, ROWS + OPTIONS, columns, generator=generator)
    legal = torch.rand(n, STEPS, OPTIONS, generator=generator) < 0.6
    legal[..., 1] = True
    x[:, :, ROWS:, 0] = legal.float()
    return x, legal


def scorer(columns=COLUMNS, **options):
    torch.manual_seed(1)
    return OptionScorer((STEPS, ROWS + OPTIONS, columns), OPTIONS + BINS, 32, **options).eval()


@pytest.mark.parametrize("columns", [1, COLUMNS])
def test_shapes_and_illegal_options(columns):
    x, legal = windows(columns=columns)
    out = scorer(columns)(x)
    assert out.shape == (5, STEPS, OPTIONS + BINS)
    scores = out[..., :OPTIONS]
    assert (scores[~legal] == NEVER).all()
    assert legal.gather(-1, scores.argmax(-1, keepdim=True)).all()


def test_what_comes_later_changes_nothing():
    x, _ = windows()
    model = scorer()
    later = x.clone()
    later[:, 3:] = windows(seed=9)[0][:, 3:]
    before, after = model(x), model(later)
    assert torch.allclose(before[:, :3], after[:, :3], atol=1e-5)
    assert not torch.allclose(before[:, 3:], after[:, 3:], atol=1e-2)
    earlier = x.clone()
    earlier[:, 0] = windows(seed=9)[0][:, 0]
    assert not torch.allclose(model(earlier)[:, 5], before[:, 5], atol=1e-3)


def test_without_history_a_step_is_by_itself():
    x, _ = windows()
    model = scorer(history=False)
    earlier = x.clone()
    earlier[:, :3] = windows(seed=9)[0][:, :3]
    assert torch.allclose(model(x)[:, 3:], model(earlier)[:, 3:], atol=1e-6)
    assert torch.allclose(model(x[:, 2:3]), model(x)[:, 2:3], atol=1e-6)


def test_options_with_features_have_no_order():
    x, _ = windows()
    order = torch.tensor([2, 0, 3, 1])
    turned = torch.cat([x[:, :, :ROWS], x[:, :, ROWS:][:, :, order]], dim=2)
    model = scorer()
    out, other = model(x), model(turned)
    assert torch.allclose(out[..., :OPTIONS][..., order], other[..., :OPTIONS], atol=1e-5)
    assert torch.allclose(out[..., OPTIONS:], other[..., OPTIONS:], atol=1e-5)


def test_kinds_of_numbers_mean_the_same():
    x, _ = windows()
    whole = (x * 256).round()
    model = scorer()
    assert torch.allclose(model(whole.to(torch.int16)), model(whole / 256), atol=1e-5)
    bits = (x > 0).to(torch.uint8)
    assert torch.equal(model(bits), model(bits.float()))


def test_padded_steps_are_finite():
    x, _ = windows()
    x[:, 4:] = 0
    assert scorer()(x).isfinite().all()


def test_by_name():
    for name in ("decisions", "decisions-by-step"):
        model = build(ModelSettings(model=name, width=64, depth=1), (STEPS, ROWS + OPTIONS, 2), OPTIONS + BINS)
        assert len(model.blocks) == 2  # and a LayerNorm
    with pytest.raises(ValueError, match="takes windows of decisions"):
        MODELS["decisions"].factory((3, 8, 8), 10, 64)
    with pytest.raises(ValueError, match="below 64 or a multiple of 32, got 65"):
        MODELS["decisions"].factory((STEPS, ROWS + OPTIONS, 2), OPTIONS + BINS, 65)
