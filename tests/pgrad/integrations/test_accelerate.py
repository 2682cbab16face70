"""Accelerate: prepare, accumulate, bf16, save_state and load_state, against the plain loop."""

import pytest
import torch
from accelerate import Accelerator, DataLoaderConfiguration
from accelerate.state import AcceleratorState, GradientState
from torch import nn
from torch.utils.data import DataLoader

from pgrad import ResumableLoader
from tests.pgrad.integrations.problem import dataset, loader, net, optimizer, plain, sampler, vector


@pytest.fixture(autouse=True)
def _fresh():
    """Accelerate's settings are global to a process."""
    AcceleratorState._reset_state(True)
    GradientState._reset_state()
    yield
    AcceleratorState._reset_state(True)
    GradientState._reset_state()


def schedule(opt):
    return torch.optim.lr_scheduler.CosineAnnealingLR(opt, T_max=9)


def fit(accelerator, model, opt, data, scheduler, clip=None):
    points = []
    for x, y in data:
        with accelerator.accumulate(model):
            with accelerator.autocast():
                loss = nn.functional.cross_entropy(model(x), y)
            accelerator.backward(loss)
            if clip is not None and accelerator.sync_gradients:
                accelerator.clip_grad_norm_(model.parameters(), clip)
            opt.step()
            scheduler.step()
            opt.zero_grad()
            if accelerator.sync_gradients:
                points.append(vector(model))
    return points


def prepared(accelerator, seed=0):
    model = net(seed)
    opt = optimizer(model.parameters())
    return accelerator.prepare(model, opt, loader(), schedule(opt))


@pytest.mark.parametrize(
    ("options", "loop"),
    [
        ({}, {"clip": 0.1}),
        ({"gradient_accumulation_steps": 3}, {"accumulate": 3}),
        ({"mixed_precision": "bf16"}, {"dtype": torch.bfloat16}),
    ],
)
def test_the_loop_of_accelerate_is_the_plain_loop(options, loop):
    accelerator = Accelerator(cpu=True, **options)
    points = fit(accelerator, *prepared(accelerator), clip=loop.get("clip"))
    model = net()
    opt = optimizer(model.parameters())
    expected = plain(model, opt, scheduler=schedule(opt), **loop)
    assert len(points) == len(expected) == 9 // loop.get("accumulate", 1)
    assert all(map(torch.equal, points, expected))


@pytest.mark.parametrize("stop", [3, 4, 5])
def test_save_state_and_load_state_in_the_middle_of_a_roll_out(tmp_path, stop):
    accelerator = Accelerator(cpu=True)
    whole = fit(accelerator, *prepared(accelerator))

    accelerator = Accelerator(cpu=True)
    model, opt, data, scheduler = prepared(accelerator)
    first = [batch for _, batch in zip(range(stop), data, strict=False)]
    fit(accelerator, model, opt, first, scheduler)
    accelerator.save_state(tmp_path)

    accelerator = Accelerator(cpu=True)
    model, opt, data, scheduler = prepared(accelerator, seed=1)
    accelerator.load_state(tmp_path)
    assert opt.optimizer.rollout_position == stop % 3
    rest = fit(accelerator, model, opt, accelerator.skip_first_batches(data, stop), scheduler)
    assert all(map(torch.equal, rest, whole[stop:]))
    assert len(rest) == 9 - stop


def test_wrapping_in_the_middle_of_a_roll_out_goes_on():
    """Accelerate loads an optimizer's own state into it when it wraps it."""
    model, expected = net(), net()
    opt = optimizer(model.parameters())
    points = plain(expected, optimizer(expected.parameters()))
    batches = list(loader())
    accelerator = Accelerator(cpu=True)
    for step, (x, y) in enumerate(batches):
        if step == 4:
            model, opt = accelerator.prepare(model, opt)
        nn.functional.cross_entropy(model(x), y).backward()
        opt.step()
        opt.zero_grad()
        assert torch.equal(vector(model), points[step])


def test_evaluation_at_the_anchor_through_the_wrapper():
    """The wrapper has no methods of PGrad; the optimizer is at `.optimizer`, or wherever it was before prepare."""
    accelerator = Accelerator(cpu=True)
    model, opt, data, scheduler = prepared(accelerator)
    points = fit(accelerator, model, opt, [batch for _, batch in zip(range(5), data, strict=False)], scheduler)
    with opt.optimizer.at_anchor():
        assert torch.equal(vector(model), points[2])
    assert torch.equal(vector(model), points[4])


def test_batches_of_one_domain_stay_so():
    """In one process, prepare leaves a batch sampler as it is."""
    accelerator = Accelerator(cpu=True)
    data = accelerator.prepare(DataLoader(dataset(), batch_sampler=sampler()))
    for (x, _), (expected, _) in zip(data, loader(), strict=True):
        assert torch.equal(x, expected)


@pytest.mark.parametrize(
    "made",
    [lambda batches: DataLoader(dataset(), batch_sampler=batches), lambda batches: ResumableLoader(dataset(), batches)],
)
@pytest.mark.parametrize("stop", [1, 4, 9])
def test_a_prepared_loader_is_one_batch_ahead_and_the_place_must_be_said(made, stop):
    """prepare makes another loader, of its own class, of the dataset and the sampler."""
    expected = [x for x, _ in loader()]
    batches = sampler()
    given = made(batches)
    data = Accelerator(cpu=True).prepare(given)
    for n, _ in enumerate(data, 1):
        if n == stop:
            break
    refusing = [batches.state_dict, given.state_dict] if isinstance(given, ResumableLoader) else [batches.state_dict]
    for state_dict in refusing:
        with pytest.raises(
            RuntimeError, match=r"consumed must be given: the loader that Accelerate prepared.*use_stateful"
        ):
            state_dict()
    resumed = sampler()
    resumed.load_state_dict(batches.state_dict(consumed=stop))
    rest = [x for x, _ in Accelerator(cpu=True).prepare(DataLoader(dataset(), batch_sampler=resumed))]
    if stop < 9:
        assert len(rest) == 9 - stop
        assert all(map(torch.equal, rest, expected[stop:]))
    else:
        assert len(rest) == 9  # a loop was complete: this is the next


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:'set_vital' is deprecated")  # torchdata 0.11 and newer torch
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("stop", [1, 4, 8])
def test_with_a_stateful_loader_accelerate_keeps_the_place(tmp_path, workers, stop):
    pytest.importorskip(
        "torchdata.stateful_dataloader", reason="torchdata is missing, whose loader Accelerate uses here"
    )

    def prepare():
        stateful = DataLoaderConfiguration(use_stateful_dataloader=True)
        accelerator = Accelerator(cpu=True, dataloader_config=stateful)
        return accelerator, accelerator.prepare(DataLoader(dataset(), batch_sampler=sampler(), num_workers=workers))

    unbroken = loader()
    expected = [x for _ in range(2) for x, _ in unbroken]
    accelerator, data = prepare()
    for n, _ in enumerate(data, 1):
        if n == stop:
            accelerator.save_state(tmp_path)
            break
    AcceleratorState._reset_state(True)
    GradientState._reset_state()
    accelerator, data = prepare()
    accelerator.load_state(tmp_path)
    rest = [x for _ in range(2) for x, _ in data]
    assert len(rest) == 18 - stop
    assert all(map(torch.equal, rest, expected[stop:]))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: Accelerate has fp16 only there")
@pytest.mark.cuda
def test_fp16_skips_a_step():
    """Accelerate has float16 on accelerators only."""
    accelerator = Accelerator(mixed_precision="fp16")
    model, opt, data, _ = prepared(accelerator)
    positions = []
    for step, (x, y) in enumerate(data):
        with accelerator.autocast():
            loss = nn.functional.cross_entropy(model(x), y)
        accelerator.backward(loss * (torch.inf if step == 1 else 1.0))
        opt.step()
        opt.zero_grad()
        positions.append(opt.optimizer.rollout_position)
        assert opt.step_was_skipped == (step == 1)
    assert positions == [1, 1, 2, 0, 1, 2, 0, 1, 2]
