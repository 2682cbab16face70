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


@pytest.mark.parametrize("columns", [1, COLUMNS])
def test_padding_changes_nothing(columns):
    """The steps of a window that ends early are what they are in a shorter one, and it adds nothing to gradients."""
    x, _ = windows(columns=columns)
    x[1:, 4:] = 0
    model = scorer(columns)
    out = model(x)
    assert (out[1:, 4:, :OPTIONS] == NEVER).all()
    assert (out[1:, 4:, OPTIONS:] == 0).all()
    short = model(x[1:, :4])
    assert torch.allclose(out[1:, :4], short, atol=1e-6)
    weights = torch.randn(short.shape, generator=torch.Generator().manual_seed(2)) * (short > NEVER)
    found = [torch.autograd.grad((o * weights).sum(), tuple(model.parameters())) for o in (model(x)[1:, :4], short)]
    for mine, theirs in zip(*found, strict=True):
        assert torch.allclose(mine, theirs, atol=1e-4)
    assert (model(torch.zeros_like(x))[..., :OPTIONS] == NEVER).all()


@pytest.mark.parametrize("columns", [1, COLUMNS])
@torch.no_grad()
def test_scores_by_hand(columns):
    """The formula of the module, step by step and option by option, in double precision."""
    x, legal = windows(n=1, columns=columns)
    x, model = x.double(), scorer(columns).double()
    tokens, vectors = [], []
    for t in range(STEPS):
        if columns == 1:
            own = model.vectors
        else:
            own = torch.stack([model.features(x[0, t, ROWS + k, 1:]) for k in range(OPTIONS)])
        tokens.append(model.context(x[0, t, :ROWS].flatten()) + own[legal[0, t]].mean(0) + model.positions[t])
        vectors.append(own)
    h = torch.stack(tokens)
    for block in model.blocks[:-1]:
        query, key, value = block.mixing(block.before(h)).chunk(3, dim=-1)
        mixed = []
        for t in range(STEPS):
            share = (key[: t + 1] @ query[t] / query.shape[1] ** 0.5).softmax(0)
            mixed.append(share @ value[: t + 1])
        h = h + block.after(torch.stack(mixed))
        h = h + block.perceptron(h)
    h = model.blocks[-1](h)
    out = model(x)[0]
    assert torch.allclose(out[:, OPTIONS:], model.value(h))
    for t in range(STEPS):
        for k in range(OPTIONS):
            e = vectors[t][k]
            score = model.query(h[t]) @ e / 32**0.5 + model.score((model.pair(h[t]) + model.option(e)).relu())
            assert out[t, k] == pytest.approx(float(score) if legal[0, t, k] else NEVER)


def test_by_name():
    for name in ("decisions", "decisions-by-step"):
        model = build(ModelSettings(model=name, width=64, depth=1), (STEPS, ROWS + OPTIONS, 2), OPTIONS + BINS)
        assert len(model.blocks) == 2  # and a LayerNorm
    with pytest.raises(ValueError, match="takes windows of decisions"):
        MODELS["decisions"].factory((3, 8, 8), 10, 64)
    with pytest.raises(ValueError, match="below 64 or a multiple of 32, got 65"):
        MODELS["decisions"].factory((STEPS, ROWS + OPTIONS, 2), OPTIONS + BINS, 65)


def pictured(n=3, steps=4, side=16, seed=0):
    """Windows of bytes whose context is one row and a picture; the last two steps of the first one are padding."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randint(0, 256, (n, steps, 1 + side + OPTIONS, 3 * side), generator=generator).to(torch.uint8)
    x[:, :, 0] = x[:, :, 0] > 127
    x[:, :, 1 + side :] = 0
    x[:, :, 1 + side :, :3] = 1
    x[0, 2:] = 0
    return x


def test_a_picture_at_every_step():
    torch.manual_seed(1)
    x = pictured()
    model = OptionScorer(tuple(x.shape[1:]), OPTIONS + BINS, 32, pictures=True).eval()
    out = model(x)
    # One step alone, its picture convolved by hand: channels are the columns' threes.
    one = x[1, 0]
    picture = (one[1:17].reshape(16, 16, 3).float() / 255).permute(2, 0, 1)[None]
    assert picture[0, 2, 5, 7] == one[1 + 5, 3 * 7 + 2] / 255
    first = torch.nn.functional.conv2d(picture, model.seen.net[0].weight, model.seen.net[0].bias, 4, 2).relu()
    second = torch.nn.functional.conv2d(first, model.seen.net[2].weight, model.seen.net[2].bias, 2, 1).relu()
    vector = second.flatten(1) @ model.seen.net[5].weight.T + model.seen.net[5].bias
    assert torch.allclose(model.seen(x[1, :1, 1:17]), vector, atol=1e-5)
    other = x.clone()
    other[1, 2, 9, 10] ^= 255
    changed = (model(other) - out).abs().amax(-1) > 0
    assert changed.tolist() == [[False] * 4, [False, False, True, True], [False] * 4]
    padded = x.clone()
    padded[0, 3, 3] = 9  # no step at all: no picture is looked at
    assert torch.equal(model(padded)[0], out[0])
    model(x).sum().backward()
    assert all(parameter.grad is not None for parameter in model.seen.parameters())


def test_pictures_that_are_none():
    for shape in ((STEPS, ROWS + OPTIONS, 24), (STEPS, 9 + OPTIONS, 21)):
        with pytest.raises(ValueError, match=r"takes contexts that end with a picture.*take 'decisions'"):
            OptionScorer(shape, OPTIONS + BINS, 32, pictures=True)
