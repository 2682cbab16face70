"""Data and roll-outs that do not fit each other: noticed where domains or the sampler are known, and said once."""

import copy
import warnings

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import pgrad
from tests.pgrad.problems import batch, model, train, vector

DOMAINS = [0] * 40 + [1] * 40 + [2] * 40


def sampler(splits=2, domains=DOMAINS, **options):
    generator = torch.Generator().manual_seed(0)
    return pgrad.DomainBatchSampler(domains, 8, splits, generator, **options)


def dataset():
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(len(DOMAINS), 6, generator=generator) + torch.tensor(DOMAINS)[:, None]
    return TensorDataset(x, torch.arange(len(DOMAINS)) % 2)


def run(net, opt, loader, stop=None):
    for n, (x, y) in enumerate(loader):
        if n == stop:
            break
        opt.zero_grad()
        torch.nn.functional.cross_entropy(net(x), y).backward()
        opt.step()


def label(net, opt, domains, start=0):
    """One step for each domain."""
    for step, domain in enumerate(domains, start):
        opt.zero_grad()
        x, y = batch(step)
        torch.nn.functional.cross_entropy(net(x), y).backward()
        opt.step(domain=domain)


# ---------------------------------------------------------------------------------------------------------- by labels


def test_what_each_domain_did_is_in_the_record():
    """Against the points themselves: shares of the movement, cosines of each domain's steps with the update."""
    net = model(torch.float64)
    opt = pgrad.PGrad(net.parameters(), 1e-1, 6, inner=torch.optim.SGD)
    points, order = [vector(net)], ["b", "a", "c", "a", "c", "b"]
    for step, domain in enumerate(order):
        opt.zero_grad()
        x, y = batch(step, torch.float64)
        torch.nn.functional.cross_entropy(net(x), y).backward()
        grads = torch.cat([p.grad.reshape(-1) for p in net.parameters()])
        points.append(points[-1] - 0.1 * grads)
        opt.step(domain=domain)
    steps = torch.stack(points).diff(dim=0)
    way = points[-1] - points[0]
    g = points[0] - vector(net)
    own = {name: steps[[n for n, d in enumerate(order) if d == name]].sum(0) for name in "abc"}
    update = opt.last_update
    assert update.domains == tuple(order)
    for name, movement in own.items():
        assert update.domain_shares[name] == pytest.approx(float(movement @ way / (way @ way)), abs=1e-9)
        cosine = -movement @ g / movement.norm() / g.norm()
        assert update.domain_cosines[name] == pytest.approx(float(cosine), abs=1e-7)
    assert sum(update.domain_shares.values()) == pytest.approx(1)
    assert update.least_agreeing_domain == min(own, key=lambda name: update.domain_cosines[name])


def test_without_movement_or_names_there_are_no_shares():
    weight = torch.nn.Parameter(torch.ones(2))
    opt = pgrad.PGrad([weight], 0.1, 2, inner=torch.optim.SGD)
    for domain in (0, 1):
        weight.grad = torch.zeros(2)
        opt.step(domain=domain)
    assert opt.last_update.domain_shares == {0: 0.0, 1: 0.0}
    for _ in range(2):
        opt.step()
    assert opt.last_update.domain_shares == opt.last_update.domain_cosines == {}
    assert opt.last_update.least_agreeing_domain is None


def test_domains_are_in_the_state_dict():
    net = model()
    opt = pgrad.PGrad(net.parameters(), 1e-2, 6)
    label(net, opt, "abc")
    twin = copy.deepcopy(net)
    resumed = pgrad.PGrad(twin.parameters(), 1e-2, 6)
    resumed.load_state_dict(copy.deepcopy(opt.state_dict()))
    for one, other in ((net, opt), (twin, resumed)):
        label(one, other, "cab", 3)
    assert resumed.last_update.domains == opt.last_update.domains == tuple("abccab")
    assert torch.equal(vector(net), vector(twin))


@pytest.mark.parametrize(
    ("domains", "found"),
    [
        ("aabacaaba", r"9 steps saw domains in unequal parts \('a': 6, 'b': 2, 'c': 1\)"),
        ([7] * 9, r"9 steps saw one domain alone \(7: 9\)"),
        ("abcdabcda", r"9 steps saw domains in unequal parts \('a': 3, 'b': 2, 'c': 2, 'd': 2\)"),  # T is not theirs
    ],
)
def test_domains_in_unequal_parts(domains, found):
    net = model()
    opt = pgrad.PGrad(net.parameters(), 1e-2, 9)
    with pytest.warns(UserWarning, match=f"a roll-out of {found}.*DomainBatchSampler") as said:
        label(net, opt, domains)
    assert len(said) == 1
    label(net, opt, domains)  # said once: warnings are errors here


def test_equal_parts_and_a_roll_out_that_was_finished_early_are_fine():
    net = model()
    opt = pgrad.PGrad(net.parameters(), 1e-2, 9)
    label(net, opt, "abcbcacab")
    label(net, opt, "aabc")
    opt.finish_rollout()
    assert opt.last_update.domains == tuple("aabc")


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        (torch.tensor([2, 2, 0]), r"2 domains \(0, 2\)"),
        (["photo", "art"], r"2 domains \('art', 'photo'\)"),
        (torch.tensor([[1], [2], [3]]), r"3 domains \(1, 2, 3\)"),
    ],
)
def test_labels_of_a_batch_that_mixes_domains(labels, found):
    net = model()
    opt = pgrad.PGrad(net.parameters(), 1e-2, 3)
    with pytest.warns(UserWarning, match=f"a mini-batch mixed {found}; every mini-batch of a roll-out must be of one"):
        label(net, opt, [labels, 1, 2])
    assert opt.last_update.domains is None


def test_labels_of_a_batch_of_one_domain_name_it():
    net = model()
    opt = pgrad.PGrad(net.parameters(), 1e-2, 4)
    label(net, opt, [torch.tensor([3, 3]), ["a", "a"], torch.tensor(3), ("a",)])
    assert opt.last_update.domains == (3, "a", 3, "a")


@pytest.mark.parametrize("labels", [1.5, True, [True, False], torch.tensor([0.5, 0.5]), object(), [[1], [1]]])
def test_bad_labels(labels):
    net = model()
    opt = pgrad.PGrad(net.parameters(), 1e-2, 4)
    before = vector(net)
    with pytest.raises(TypeError, match=r"domain(\[0\])? must be an int or a string, got"):
        label(net, opt, [labels])
    with pytest.raises(ValueError, match="domain must name the domain of the mini-batch, got an empty list"):
        label(net, opt, [[]])
    assert torch.equal(vector(net), before)
    assert opt.rollout_position == 0


# ------------------------------------------------------------------------------------------------------ by the sampler


WORKERS = [0, pytest.param(2, marks=pytest.mark.slow)]


@pytest.mark.parametrize("workers", WORKERS)
def test_a_break_does_not_put_roll_outs_out_of_phase(workers):
    """As if the optimizer had been told so before the next loop: its first gradient is one of these weights."""
    net, twin = model(), model()
    ours, theirs = sampler(), sampler()
    opt = pgrad.PGrad(net.parameters(), 1e-2, ours)
    told = pgrad.PGrad(twin.parameters(), 1e-2, theirs)
    loader = DataLoader(dataset(), batch_sampler=ours, num_workers=workers)
    run(net, opt, loader, 10)
    assert opt.rollout_position == 4
    with pytest.warns(UserWarning, match=r"entered at step 0 of a roll-out, but 4 of 6 steps were done.*so that both"):
        run(net, opt, loader, 8)
    assert opt.rollout_position == 2
    run(net, opt, loader)  # said once
    assert opt.rollout_position == 0
    other = DataLoader(dataset(), batch_sampler=theirs, num_workers=workers)
    for stop in (10, 8):
        run(twin, told, other, stop)
        told.forget_rollout()
    run(twin, told, other)
    assert torch.equal(vector(net), vector(twin))


@pytest.mark.parametrize("workers", WORKERS)
def test_whole_loops_and_breaks_between_roll_outs_are_fine(workers):
    net, ours = model(), sampler()
    opt = pgrad.PGrad(net.parameters(), 1e-2, ours)
    loader = DataLoader(dataset(), batch_sampler=ours, num_workers=workers, persistent_workers=workers > 0)
    run(net, opt, loader)
    run(net, opt, loader, 12)
    run(net, opt, loader, 3)
    opt.discard_rollout()
    run(net, opt, loader)
    assert opt.rollout_position == 0


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("killed", [4, 6, 11])
def test_both_resumed_are_in_phase(killed, workers):
    net, ours = model(), sampler()
    opt = pgrad.PGrad(net.parameters(), 1e-2, ours)
    loader = pgrad.ResumableLoader(dataset(), ours, num_workers=workers)
    run_exactly(net, opt, loader, killed)
    states = copy.deepcopy((net.state_dict(), opt.state_dict(), loader.state_dict()))
    net, ours = model(seed=4), sampler()
    opt = pgrad.PGrad(net.parameters(), 1e-2, ours)
    loader = pgrad.ResumableLoader(dataset(), ours, num_workers=workers)
    for one, state in zip((net, opt, loader), states, strict=True):
        one.load_state_dict(state)
    run(net, opt, loader)
    run(net, opt, loader)
    straight, theirs = model(), sampler()
    other = pgrad.PGrad(straight.parameters(), 1e-2, theirs)
    for _ in range(2):
        run(straight, other, DataLoader(dataset(), batch_sampler=theirs))
    assert torch.equal(vector(net), vector(straight))


def run_exactly(net, opt, loader, steps):
    """Takes no batch more than it uses."""
    batches = iter(loader)
    for _ in range(steps):
        x, y = next(batches)
        opt.zero_grad()
        torch.nn.functional.cross_entropy(net(x), y).backward()
        opt.step()


def test_only_one_of_them_resumed():
    net, ours = model(), sampler()
    opt = pgrad.PGrad(net.parameters(), 1e-2, ours)
    loader = pgrad.ResumableLoader(dataset(), ours)
    run_exactly(net, opt, loader, 4)
    weights, state, place = copy.deepcopy((net.state_dict(), opt.state_dict(), loader.state_dict()))

    fresh = sampler()
    resumed = pgrad.PGrad(net.parameters(), 1e-2, fresh)
    resumed.load_state_dict(state)
    net.load_state_dict(weights)
    with pytest.warns(UserWarning, match=r"entered at step 0 of a roll-out, but 4 of 6.*not both were resumed"):
        run_exactly(net, resumed, DataLoader(dataset(), batch_sampler=fresh), 1)
    assert resumed.rollout_position == 1

    other = sampler()
    new = pgrad.PGrad(net.parameters(), 1e-2, other)
    loader = pgrad.ResumableLoader(dataset(), other)
    loader.load_state_dict(place)
    with pytest.warns(UserWarning, match=r"entered at step 4 of a roll-out, but 0 of 6.*load the state_dict of both"):
        run_exactly(net, new, loader, 1)
    assert new.rollout_position == 1


def test_a_sampler_that_deals_no_batch_was_forgotten_in_the_loader():
    net, ours = model(), sampler()
    opt = pgrad.PGrad(net.parameters(), 1e-2, ours)
    with pytest.warns(UserWarning, match=r"has dealt no batch.*DataLoader\(dataset, batch_sampler=sampler\)"):
        run(net, opt, DataLoader(dataset(), batch_size=8, shuffle=True), 13)


def test_an_int_goes_on_without_a_sampler():
    net, ours = model(), sampler()
    opt = pgrad.PGrad(net.parameters(), 1e-2, ours)
    opt.rollout_length = 4
    run(net, opt, DataLoader(dataset(), batch_size=8), 4)
    assert opt.rollout_position == 0
    opt.rollout_length = ours
    assert opt.rollout_length == 6


def test_drawn_groups_need_not_have_equal_parts():
    generator = torch.Generator().manual_seed(0)
    ours = pgrad.GroupBatchSampler(DOMAINS, 8, n_groups=4, distinct=False, generator=generator)
    net = model()
    opt = pgrad.PGrad(net.parameters(), 1e-2, ours)
    for indices in ours:
        x, y = dataset()[indices]
        opt.zero_grad()
        torch.nn.functional.cross_entropy(net(x), y).backward()
        opt.step(domain=ours.domain_of(indices))
    assert len(set(opt.last_update.domains)) < 4


def test_a_copy_of_the_optimizer_knows_no_sampler():
    net, ours = model(), sampler()
    opt = pgrad.PGrad(net.parameters(), 1e-2, ours)
    twin, copied = copy.deepcopy((net, opt))
    assert copied.rollout_length == 6
    with pytest.warns(UserWarning, match="a copy of the optimizer does not know the sampler") as said:
        train(twin, copied, 0, 7)
    assert len(said) == 1  # nothing is said of a sampler that dealt no batch


@pytest.mark.parametrize("early", [0, 2])
def test_a_copy_is_given_its_sampler_in_the_middle_of_a_roll_out(early):
    net, ours = model(), sampler()
    opt = pgrad.PGrad(net.parameters(), 1e-2, ours)
    twin = other = theirs = None
    for n, (x, y) in enumerate(DataLoader(dataset(), batch_sampler=ours)):
        if n == early:
            opt.finish_rollout()
        opt.zero_grad()
        torch.nn.functional.cross_entropy(net(x), y).backward()
        opt.step()
        if n == 3:
            twin, other, theirs = copy.deepcopy((net, opt, ours))
            opt.rollout_length = ours  # that it has already: nothing happens
    other.rollout_length = theirs
    theirs.load_state_dict(theirs.state_dict())
    run(twin, other, DataLoader(dataset(), batch_sampler=theirs))
    assert torch.equal(vector(twin), vector(net))
    assert (other.rollout_position, opt.rollout_position) == (0, 0)


def test_steps_that_a_scaler_skips_are_no_points_and_the_next_loop_is_in_phase():
    net, ours = model(), sampler()
    opt = pgrad.PGrad(net.parameters(), 1e-2, ours)
    loader = DataLoader(dataset(), batch_sampler=ours)
    for n, (x, y) in enumerate(loader):
        opt.zero_grad()
        torch.nn.functional.cross_entropy(net(x), y).backward()
        if n != 5:  # as GradScaler does
            opt.step()
    assert opt.rollout_position == 5
    with pytest.warns(UserWarning, match=r"5 of 6 steps were done \(.*a GradScaler or a `continue` skipped"):
        run(net, opt, loader)
    with warnings.catch_warnings():
        run(net, opt, loader)
    assert opt.rollout_position == 0


@pytest.mark.parametrize("workers", WORKERS)
def test_an_optimizer_made_within_a_loop_is_in_phase_from_the_next_one_on(workers):
    net, ours = model(), sampler()
    loader = DataLoader(dataset(), batch_sampler=ours, num_workers=workers)
    for n, (x, y) in enumerate(loader):
        if n in (0, 8):
            opt = pgrad.PGrad(net.parameters(), 1e-2, ours)
        opt.zero_grad()
        torch.nn.functional.cross_entropy(net(x), y).backward()
        opt.step()
    left = (n - 8 + 1) % 6
    assert opt.rollout_position == left > 0
    with pytest.warns(UserWarning, match=f"{left} of 6 steps were done .*the optimizer was made within the loop"):
        run(net, opt, loader)
    assert opt.rollout_position == 0


@pytest.mark.parametrize("workers", WORKERS)
def test_a_sampler_that_was_looked_at_and_then_forgotten(workers):
    """One batch was taken from it, for its shape: it has dealt that one, and not those of the steps."""
    net, ours = model(), sampler()
    opt = pgrad.PGrad(net.parameters(), 1e-2, ours)
    assert len(next(iter(DataLoader(dataset(), batch_sampler=ours, num_workers=workers)))) == 2
    with pytest.warns(UserWarning, match=r"has dealt no batch.*DataLoader\(dataset, batch_sampler=sampler\)"):
        run(net, opt, DataLoader(dataset(), batch_size=8, shuffle=True))


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("kind", [DataLoader, pgrad.ResumableLoader])
def test_a_batch_that_was_looked_at_before_the_loop_is_fine(kind, workers):
    ours = sampler()
    loader = kind(dataset(), batch_sampler=ours, num_workers=workers)
    batches = iter(loader)
    assert len(next(batches)) == 2
    net = model()
    opt = pgrad.PGrad(net.parameters(), 1e-2, ours)  # made late: its first loop has begun
    del batches
    for _ in range(3):
        run(net, opt, loader)
        assert ours.given == len(ours) + (kind is DataLoader and workers == 0)  # the loop asked for one more


def accumulate(net, opt, loader, parts, stop=None):
    """Several batches for each step, as frameworks do it: a rest of them is a step of its own if there is no stop."""
    for n, (x, y) in enumerate(loader, 1):
        torch.nn.functional.cross_entropy(net(x), y).backward()
        if n % parts == 0:
            opt.step()
            opt.zero_grad()
        if n == stop:
            break


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("parts", [2, 3, 5])
def test_accumulated_batches_of_a_sampler_mix_domains(parts, workers):
    net, ours = model(), sampler(splits=1, mode="infinite")
    opt = pgrad.PGrad(net.parameters(), 1e-2, ours)
    loader = DataLoader(dataset(), batch_sampler=ours, num_workers=workers)
    with pytest.warns(UserWarning, match=r"several batches of the sampler went into one step.*cut every batch") as said:
        accumulate(net, opt, loader, parts, 60)
    assert len(said) == 1


def test_accumulated_batches_are_the_reason_for_a_roll_out_that_does_not_fit():
    """15 batches are 7 steps and a rest, no whole number of roll-outs of 3."""
    net, ours = model(), sampler(splits=1)
    opt = pgrad.PGrad(net.parameters(), 1e-2, ours)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for _ in range(2):
            accumulate(net, opt, DataLoader(dataset(), batch_sampler=ours), 2)
    first, second = (str(warning.message) for warning in said)
    assert "several batches of the sampler went into one step" in first
    assert "1 of 3 steps were done (several batches of the loop before went into each step" in second
    assert "break" not in second


def test_parts_of_a_batch_may_be_accumulated():
    net, ours = model(), sampler()
    opt = pgrad.PGrad(net.parameters(), 1e-2, ours)
    for x, y in DataLoader(dataset(), batch_sampler=ours):
        opt.zero_grad()
        for part in (slice(0, 2), slice(2, None)):
            torch.nn.functional.cross_entropy(net(x[part]), y[part], reduction="sum").div(len(x)).backward()
        opt.step()


ENDS = [pgrad.PGrad.finish_rollout, pgrad.PGrad.discard_rollout, pgrad.PGrad.forget_rollout]


@pytest.mark.parametrize("resumed", [False, True])
@pytest.mark.parametrize("end", ENDS)
def test_a_roll_out_that_ended_early_in_a_loop_is_followed_by_the_rest_of_that_of_the_sampler(end, resumed):
    """Then both are in phase: no roll-out has one domain more often than another."""
    net, ours = model(), sampler()
    opt = pgrad.PGrad(net.parameters(), 1e-2, ours)
    loader = DataLoader(dataset(), batch_sampler=ours)
    positions, points = [], []
    batches = iter(loader)
    for n in range(len(ours)):
        if n in (3, 4):  # in the middle, and one step later
            end(opt)
        if n == 4 and resumed:
            weights, state, place = copy.deepcopy((net.state_dict(), opt.state_dict(), ours.state_dict()))
            net, ours = model(seed=4), sampler()
            opt = pgrad.PGrad(net.parameters(), 1e-2, ours)
            for one, saved in ((net, weights), (opt, state), (ours, place)):
                one.load_state_dict(saved)
            batches = iter(DataLoader(dataset(), batch_sampler=ours))
        x, y = next(batches)
        opt.zero_grad()
        torch.nn.functional.cross_entropy(net(x), y).backward()
        opt.step()
        positions.append(opt.rollout_position)
        points.append(None if opt.last_update is None else len(opt.last_update.gram))
    assert positions[:12] == [1, 2, 3, 1, 1, 0, 1, 2, 3, 4, 5, 0]
    assert points[5] == 3  # the last two of the sampler's first roll-out
    assert points[11] == 7
    run(net, opt, DataLoader(dataset(), batch_sampler=ours))
    assert opt.rollout_position == 0


def test_a_roll_out_that_was_finished_before_a_loop_is_left_says_nothing():
    net, ours = model(), sampler()
    opt = pgrad.PGrad(net.parameters(), 1e-2, ours)
    loader = DataLoader(dataset(), batch_sampler=ours)
    for end in ENDS:
        run(net, opt, loader, 4)
        end(opt)
        run(net, opt, loader, 6)
        assert opt.rollout_position == 0


@pytest.mark.parametrize("splits", [1, 2])
def test_roll_outs_of_closures_take_their_batches_at_once(splits):
    """Not one for each step; and they are whole, also after one that was finished early."""
    net, ours = model(), sampler(splits, mode="infinite")
    opt = pgrad.PGrad(net.parameters(), 1e-2, ours)
    loader = DataLoader(dataset(), batch_sampler=ours)
    batches = iter(loader)

    def closure():
        x, y = taken.pop()
        value = torch.nn.functional.cross_entropy(net(x), y)
        value.backward()
        return value

    taken = [next(batches)]
    closure()
    opt.step()
    opt.finish_rollout()
    for _ in range(6):
        taken = [next(batches) for _ in range(ours.rollout_length)]
        opt.rollout([closure] * ours.rollout_length)
        assert len(opt.last_update.gram) == ours.rollout_length + 1
