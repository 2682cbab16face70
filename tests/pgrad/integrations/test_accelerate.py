"""Accelerate: prepare, accumulate, bf16, save_state and load_state, against the plain loop."""

import copy
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator, DataLoaderConfiguration, load_checkpoint_in_model
from accelerate.state import AcceleratorState, GradientState
from torch import nn
from torch.utils.data import DataLoader

from pgrad import ResumableLoader
from tests.pgrad.integrations.distributed.launch import torchrun
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


def steps(data, count):
    return [batch for _, batch in zip(range(count), data, strict=False)]


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
    first = steps(data, stop)
    fit(accelerator, model, opt, first, scheduler)
    accelerator.save_state(tmp_path)

    accelerator = Accelerator(cpu=True)
    model, opt, data, scheduler = prepared(accelerator, seed=1)
    accelerator.load_state(tmp_path)
    assert opt.optimizer.rollout_position == stop % 3
    rest = fit(accelerator, model, opt, accelerator.skip_first_batches(data, stop), scheduler)
    assert all(map(torch.equal, rest, whole[stop:]))
    assert len(rest) == 9 - stop


@pytest.mark.parametrize(("saved", "loaded"), [(4, 8), (3, 8), (5, 6), (3, 6)])
def test_going_back_to_an_earlier_state(tmp_path, saved, loaded):
    """In and at the ends of roll-outs: what was going on when it is loaded does not matter."""
    accelerator = Accelerator(cpu=True)
    model, opt, data, scheduler = prepared(accelerator)
    batches = list(data)
    first = fit(accelerator, model, opt, batches[:saved], scheduler)
    accelerator.save_state(tmp_path)
    lost = fit(accelerator, model, opt, batches[saved:loaded], scheduler)
    accelerator.load_state(tmp_path)
    assert torch.equal(vector(model), first[-1])
    assert opt.optimizer.rollout_position == saved % 3
    again = fit(accelerator, model, opt, batches[saved:loaded], scheduler)
    assert all(map(torch.equal, again, lost))
    assert len(again) == len(lost) == loaded - saved


def test_weights_loaded_in_the_middle_stay_and_are_said_once(tmp_path):
    """The best model so far, as it is published: the anchor."""
    accelerator = Accelerator(cpu=True)
    model, opt, data, scheduler = prepared(accelerator)
    batches = list(data)
    points = fit(accelerator, model, opt, batches[:5], scheduler)
    with opt.optimizer.at_anchor():
        accelerator.save_model(model, tmp_path)
        with pytest.raises(RuntimeError, match=r"state_dict\(\) is not possible inside at_anchor"):
            accelerator.save_state(tmp_path / "state")
    load_checkpoint_in_model(model, str(tmp_path))
    assert torch.equal(vector(model), points[2])
    twin, twin_opt = copy.deepcopy((model, opt.optimizer))
    twin_opt.forget_rollout()
    with pytest.warns(UserWarning, match="set from outside after 2 of 3 steps"):
        found = fit(accelerator, model, opt, batches[5:6], scheduler)
    found += fit(accelerator, model, opt, batches[6:], scheduler)
    for group, rate in zip(twin_opt.param_groups, [scheduler.get_last_lr()[0]], strict=True):
        assert group["lr"] != rate  # the scheduler went on with the other one
    scheduled = schedule_of(batches)
    for n, (x, y) in enumerate(batches[5:]):
        twin_opt.param_groups[0]["lr"] = scheduled[5 + n]
        nn.functional.cross_entropy(twin(x), y).backward()
        twin_opt.step()
        twin_opt.zero_grad()
        assert torch.equal(vector(twin), found[n])


def schedule_of(batches):
    """The learning rate of each step."""
    opt = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.01)
    scheduler, rates = schedule(opt), []
    for _ in batches:
        rates.append(opt.param_groups[0]["lr"])
        opt.step()
        scheduler.step()
    return rates


@pytest.mark.parametrize("order", ["model first", "optimizer first", "one by one", "optimizer alone"])
def test_the_order_of_prepare_does_not_matter(order):
    accelerator = Accelerator(cpu=True)
    model, expected = net(), net()
    opt = optimizer(model.parameters())
    if order == "model first":
        model, wrapped = accelerator.prepare(model, opt)
    elif order == "optimizer first":
        wrapped, model = accelerator.prepare(opt, model)
    elif order == "one by one":
        wrapped = accelerator.prepare(opt)
        model = accelerator.prepare(model)
    else:
        wrapped = accelerator.prepare(opt)
    points = []
    for x, y in loader():
        accelerator.backward(nn.functional.cross_entropy(model(x), y))
        wrapped.step()
        wrapped.zero_grad()
        points.append(vector(model))
    assert all(map(torch.equal, points, plain(expected, optimizer(expected.parameters()))))


@pytest.mark.parametrize("stop", [4, 9, 11])
def test_the_place_in_the_data_of_an_optimizer_that_follows_its_sampler(stop):
    """By the sampler's own state, with what was used: the prepared loader is a batch ahead of the loop."""

    def run(batches, model, opt, accelerator, first, last):
        data, points, n = accelerator.prepare(DataLoader(dataset(), batch_sampler=batches)), [], first
        while n < last:
            for used, (x, y) in enumerate(data, 1):
                accelerator.backward(nn.functional.cross_entropy(model(x), y))
                opt.step()
                opt.zero_grad()
                points.append(vector(model))
                n += 1
                if n == last:
                    return points, batches.state_dict(consumed=used)
        return None

    def made(seed):
        accelerator, batches, model = Accelerator(cpu=True), sampler(), net(seed)
        return batches, *accelerator.prepare(model, optimizer(model.parameters(), batches)), accelerator

    whole, _ = run(*made(0), 0, 18)
    batches, model, opt, accelerator = made(0)
    _, place = run(batches, model, opt, accelerator, 0, stop)
    state = copy.deepcopy((model.state_dict(), opt.state_dict()))
    batches, model, opt, accelerator = made(1)
    model.load_state_dict(state[0])
    opt.load_state_dict(state[1])
    batches.load_state_dict(place)
    rest, _ = run(batches, model, opt, accelerator, stop, 18)
    assert all(map(torch.equal, rest, whole[stop:]))
    assert len(rest) == 18 - stop


def test_skipped_batches_are_out_of_phase_with_an_optimizer_that_follows_its_sampler(tmp_path):
    """The loop is then drawn from its beginning; it is noticed."""
    accelerator, batches, model = Accelerator(cpu=True), sampler(), net()
    opt = optimizer(model.parameters(), batches)
    model, opt, data = accelerator.prepare(model, opt, DataLoader(dataset(), batch_sampler=batches))
    scheduler = schedule(opt)
    fit(accelerator, model, opt, steps(data, 4), scheduler)
    accelerator.save_state(tmp_path)
    accelerator.load_state(tmp_path)
    with pytest.warns(UserWarning, match="a loop over the sampler entered at step 0 of a roll-out, but 1 of 3 steps"):
        fit(accelerator, model, opt, accelerator.skip_first_batches(data, 4), scheduler)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("every", "positions", "said"),
    [
        (2, [1, 2, 1, 2, 1, 2, 1, 2], 1),  # its averages end the roll-outs: there is no outer step at all
        (4, [1, 2, 3, 0, 1, 2, 3, 0], 0),  # with every roll-out
    ],
)
def test_the_averages_of_local_sgd_are_noticed(every, positions, said):
    code, output = torchrun(2, Path(__file__).with_name("local_sgd.py"), every)
    assert code == 0, output
    assert f"positions {positions}; said {said} times; the average is there: True" in output


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
    points = fit(accelerator, model, opt, steps(data, 5), scheduler)
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
