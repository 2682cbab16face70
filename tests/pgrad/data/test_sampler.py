"""Batches of one domain: what every stream, every resumed stream and every rank must satisfy."""

import concurrent.futures
import copy
import itertools
import json
import pickle
import sys
from collections import Counter, OrderedDict, namedtuple

import numpy as np
import pytest
import torch
import torch.distributed as dist
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from pgrad.data import DomainBatchSampler, GroupBatchSampler, microbatches, split_by_domain

DOMAINS = ["art"] * 11 + ["photo"] * 7 + ["sketch"] * 16
Pair = namedtuple("Pair", ["x", "y"])
# For tests that draw sizes at random: some domain may be gone through ten times in a loop, and that is warned about.
UNEVEN = pytest.mark.filterwarnings("ignore:domains are uneven")


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def make(domains=DOMAINS, batch_size=3, splits=2, seed=0, **options) -> DomainBatchSampler:
    return DomainBatchSampler(domains, batch_size, splits, seeded(seed), **options)


def flat(batches) -> list:
    return list(itertools.chain.from_iterable(batches))


def rollouts(sampler, batches):
    T = sampler.rollout_length
    assert len(batches) % T == 0
    return [batches[i : i + T] for i in range(0, len(batches), T)]


@st.composite
def configurations(draw, replicas=1):
    """Domains of unequal sizes in a shuffled dataset, and a batch size and splits that they allow."""
    sizes = draw(st.lists(st.integers(replicas, 20), min_size=1, max_size=5))
    batch_size = draw(st.integers(1, min(sizes) // replicas))
    splits = draw(st.integers(1, min(batch_size, 4)))
    names = draw(st.lists(st.integers(-5, 99), min_size=len(sizes), max_size=len(sizes), unique=True))
    domains = draw(st.permutations([name for name, size in zip(names, sizes, strict=True) for _ in range(size)]))
    return {"domains": domains, "batch_size": batch_size, "splits": splits, "seed": draw(st.integers(0, 2**40))}


# ------------------------------------------------------------------------------------------------ the stream


@UNEVEN
@settings(max_examples=80, deadline=None)
@given(configurations(), st.sampled_from(["max_size_cycle", "min_size"]))
def test_every_rollout_has_each_domain_once_per_pass_and_disjoint_parts_of_one_minibatch(options, mode):
    sampler = make(**options, mode=mode)
    B, S, ids = options["batch_size"], options["splits"], set(options["domains"])
    batches = list(sampler)
    assert len(batches) == len(sampler)
    for rollout in rollouts(sampler, batches):
        parts = {domain: [] for domain in ids}
        for i in range(S):
            one_pass = rollout[i * len(ids) : (i + 1) * len(ids)]
            assert {sampler.domain_of(batch) for batch in one_pass} == ids
            for batch in one_pass:
                assert {options["domains"][index] for index in batch} == {sampler.domain_of(batch)}
                assert len(batch) == (i + 1) * B // S - i * B // S > 0
                parts[sampler.domain_of(batch)] += batch
        assert all(len(set(minibatch)) == len(minibatch) == B for minibatch in parts.values())


@UNEVEN
@settings(max_examples=60, deadline=None)
@given(configurations())
def test_a_domain_repeats_no_example_within_an_epoch_and_drops_only_the_incomplete_minibatch(options):
    sampler = make(**options, mode="infinite")
    B, sizes = options["batch_size"], Counter(options["domains"])
    per_epoch = {domain: size // B for domain, size in sizes.items()}
    count = 2 * max(per_epoch.values()) * sampler.rollout_length
    drawn = {domain: [] for domain in sizes}
    for batch in itertools.islice(sampler, count):
        drawn[sampler.domain_of(batch)] += batch
    for domain, indices in drawn.items():
        epochs = [indices[i : i + per_epoch[domain] * B] for i in range(0, len(indices), per_epoch[domain] * B)]
        assert all(len(set(epoch)) == len(epoch) for epoch in epochs)
        if sizes[domain] % B == 0:
            whole = {i for i, d in enumerate(options["domains"]) if d == domain}
            assert all(set(epoch) == whole for epoch in epochs if len(epoch) == len(whole))


def test_every_example_is_used_over_a_few_epochs_although_each_drops_some():
    sampler = make(mode="min_size")
    seen = Counter(index for _ in range(12) for batch in sampler for index in batch)
    assert set(seen) == set(range(len(DOMAINS)))


def test_epochs_and_domains_are_shuffled_differently():
    """Two domains of the same size and two epochs of one domain must not share a permutation."""
    sampler = make([0] * 12 + [1] * 12, batch_size=12, splits=1)
    orders = [tuple(index % 12 for index in batch) for _ in range(20) for batch in sampler]
    assert len(set(orders)) == 40


@pytest.mark.slow
@pytest.mark.parametrize("domains", [2, 3])
def test_the_domain_order_is_fresh_in_each_pass_and_uniform(domains):
    """Chi-square of the 3! (2!) orders against uniform; the same for pairs of passes, so they are independent."""
    sampler = make(list(range(domains)) * 2, batch_size=2, splits=2, mode="infinite")
    n = 3000
    names = [sampler.domain_of(batch) for batch in itertools.islice(sampler, n * sampler.rollout_length)]
    passes = [tuple(names[i : i + domains]) for i in range(0, len(names), domains)]
    pairs = Counter(zip(passes[::2], passes[1::2], strict=True))
    cells = len(list(itertools.permutations(range(domains)))) ** 2
    assert len(pairs) == cells
    chi2 = sum((found - n / cells) ** 2 / (n / cells) for found in pairs.values())
    assert chi2 < (cells - 1) + 4 * (2 * (cells - 1)) ** 0.5


def test_part_sizes_follow_the_authors_rule():
    sampler = make([0] * 8, batch_size=8, splits=3)
    assert [len(batch) for batch in sampler] == [2, 3, 3]
    assert sorted(flat(sampler)) == list(range(8))


@pytest.mark.parametrize(
    ("options", "length"),
    [
        ({}, 5 * 6),
        ({"mode": "max_size_cycle"}, 5 * 6),
        ({"mode": "min_size"}, 2 * 6),
        ({"mode": "min_size", "batch_size": 7, "splits": 1}, 1 * 3),
        ({"num_replicas": 2, "rank": 1}, 2 * 6),
        ({"domains": [4] * 10, "splits": 3}, 3 * 3),
    ],
)
def test_length_in_batches(options, length):
    sampler = make(**options)
    assert len(sampler) == length == len(DataLoader(range(34), batch_sampler=sampler))
    assert [len(list(sampler)) for _ in range(3)] == [length] * 3


def test_an_infinite_sampler_has_no_length_and_no_end():
    sampler = make(mode="infinite")
    with pytest.raises(TypeError, match="infinite"):
        len(sampler)
    assert sum(1 for _ in itertools.islice(sampler, 10_000)) == 10_000


def test_public_attributes():
    sampler = make([3, 1, 2, 1, 3, 2], batch_size=2, splits=2)
    assert sampler.domain_ids == (1, 2, 3)
    assert sampler.rollout_length == 6
    assert (sampler.batch_size, sampler.splits, sampler.mode) == (2, 2, "max_size_cycle")
    assert (sampler.num_replicas, sampler.rank) == (1, 0)


def test_kinds_of_domains_give_the_same_stream():
    ids = [1, 0, 0, 1, 1, 0, 2, 2]
    expected = list(make(ids, batch_size=2))
    kinds = [tuple(ids), torch.tensor(ids), torch.tensor(ids, dtype=torch.int8), np.array(ids), list(np.array(ids))]
    for kind in [*kinds, list(torch.tensor(ids))]:
        assert list(make(kind, batch_size=2)) == expected
    for kind in [[f"d{i}" for i in ids], np.array([f"d{i}" for i in ids])]:
        assert list(make(kind, batch_size=2)) == expected


def test_columns_of_pandas_are_domains():
    pandas = pytest.importorskip("pandas")
    names = [f"d{i}" for i in (1, 0, 0, 1, 1, 0, 2, 2)]
    column = pandas.Series(names)
    for kind in (
        column,
        column.astype("category"),
        pandas.Categorical(names),
        column.astype("string"),
        pandas.Index(names),
    ):
        assert list(make(kind, batch_size=2)) == list(make(names, batch_size=2))
    for kind in (
        column.where(column != "d2"),
        column.where(column != "d2").astype("category"),
        column.where(column != "d2").astype("string"),
    ):
        with pytest.raises(TypeError, match=r"all ints or all strings.*example without a domain must be left out"):
            make(kind, batch_size=2)


def test_numpy_strings_of_every_kind_are_domains():
    names = ["b", "a", "a", "b"]
    for kind in (
        np.array(names),
        np.array(names, dtype=object),
        np.array(names, dtype=np.dtypes.StringDType()),
        list(np.array(names)),
    ):
        sampler = make(kind, batch_size=2)
        assert list(sampler) == list(make(names, batch_size=2))
        assert all(type(domain) is str for domain in sampler.domain_ids)


def test_one_domain_alone_is_allowed():
    sampler = make([7] * 8, batch_size=4)
    assert (sampler.rollout_length, sampler.repeats) == (2, {7: 1})
    assert sorted(flat(sampler)) == list(range(8))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device for domains and a generator there")
def test_domains_and_a_generator_may_be_on_another_device():
    ids = torch.tensor([1, 0, 0, 1, 1, 0])
    generator = torch.Generator("cuda").manual_seed(0)
    sampler = DomainBatchSampler(ids.cuda(), 2, generator=generator)
    again = DomainBatchSampler(ids, 2, generator=torch.Generator("cuda").manual_seed(0))
    assert list(sampler) == list(again)


# --------------------------------------------------------------------------------- randomness and resuming


def test_the_stream_depends_on_the_generator_alone():
    assert list(make(seed=5)) == list(make(seed=5)) != list(make(seed=6))
    torch.manual_seed(5)
    first, second = DomainBatchSampler(DOMAINS, 3), DomainBatchSampler(DOMAINS, 3)
    torch.manual_seed(5)
    assert list(first) == list(DomainBatchSampler(DOMAINS, 3)) != list(second)


def test_the_stream_draws_from_no_generator_after_construction():
    generator, before = seeded(), torch.get_rng_state()
    sampler = DomainBatchSampler(DOMAINS, 3, 2, generator)
    after = generator.get_state()
    list(sampler)
    assert torch.equal(generator.get_state(), after)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_default_device_and_dtype_do_not_matter():
    expected = list(make())
    pairs = microbatches([torch.arange(4), torch.arange(4)], 2, seeded())
    with torch.device("meta"):
        assert list(make()) == expected
        assert [d for d, _ in microbatches([torch.arange(4)] * 2, 2, seeded())] == [d for d, _ in pairs]


def test_every_loop_brings_new_orders_of_one_stream():
    sampler, stream = make(), make(mode="infinite")
    loops = [list(sampler) for _ in range(3)]
    assert flat(loops) == list(itertools.islice(stream, 3 * len(sampler)))
    assert loops[0] != loops[1] != loops[2]


@pytest.mark.parametrize("mode", ["max_size_cycle", "min_size", "infinite"])
def test_bit_exact_resume_from_every_position_in_a_new_object(mode):
    sampler = make(mode=mode)
    stop = 40 if mode == "infinite" else len(sampler)
    first = iter(sampler)
    states, batches = [sampler.state_dict()], []
    for batch in itertools.islice(first, stop):
        batches.append(batch)
        states.append(sampler.state_dict())
    following = list(itertools.islice(sampler, stop))
    for n, state in enumerate(states):
        resumed = make(mode=mode, seed=n + 1)
        list(itertools.islice(resumed, n))  # its own stream has been used before
        resumed.load_state_dict(json.loads(json.dumps(state)))
        assert resumed.state_dict() == resumed.state_dict(consumed=0) == state
        if mode == "infinite":
            assert list(itertools.islice(resumed, stop - n)) == batches[n:]
        elif n < stop:
            assert list(resumed) == batches[n:]
            assert list(resumed) == following
        else:
            assert list(resumed) == following


@UNEVEN
@settings(max_examples=30, deadline=None)
@given(configurations(), st.integers(0, 10**12))
def test_any_position_is_reached_directly(options, rollout):
    sampler = make(**options, mode="infinite")
    position = rollout * sampler.rollout_length
    sampler.load_state_dict({**sampler.state_dict(), "position": position, "loop_start": position})
    names = [sampler.domain_of(batch) for batch in itertools.islice(sampler, sampler.rollout_length)]
    assert set(Counter(names).values()) == {options["splits"]}


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda sampler: pickle.loads(pickle.dumps(sampler))])
def test_a_copy_goes_on_like_the_original(clone):
    sampler = make()
    list(itertools.islice(sampler, 4))
    assert list(clone(sampler)) == list(sampler)


def test_state_survives_a_weights_only_load(tmp_path):
    sampler = make()
    list(itertools.islice(sampler, 7))
    torch.save(sampler.state_dict(), tmp_path / "state.pt")
    assert torch.load(tmp_path / "state.pt", weights_only=True) == sampler.state_dict()
    assert all(type(value) in (int, str) for value in sampler.state_dict(consumed=np.int64(3)).values())


@pytest.mark.parametrize(("broken_after", "start"), [(0, 0), (1, 6), (5, 6), (6, 6), (7, 12), (30, 30)])
def test_a_loop_after_a_break_starts_at_the_next_whole_rollout_and_has_full_length(broken_after, start):
    sampler, stream = make(), list(itertools.islice(make(mode="infinite"), 100))
    list(itertools.islice(sampler, broken_after))
    iter(sampler)  # alone moves nothing
    assert list(sampler) == stream[start : start + len(sampler)]
    if broken_after:
        resumed = make()
        resumed.load_state_dict({**sampler.state_dict(), "position": broken_after, "loop_start": 0})
        next(iter(resumed))
        start = -(-(broken_after + 1) // 6) * 6
        assert list(resumed) == stream[start : start + len(sampler)]


# --------------------------------------------------------------------------------------- with a DataLoader


@pytest.mark.parametrize("workers", [{}, {"num_workers": 2}, {"num_workers": 2, "persistent_workers": True}])
def test_dataloader_epochs_and_resume_by_the_number_of_batches_consumed(workers):
    dataset = torch.arange(len(DOMAINS))
    expected = make()
    loops = [list(expected), list(expected)]
    sampler = make()
    loader = DataLoader(dataset, batch_sampler=sampler, **workers)
    states = []
    for n, batch in enumerate(loader, 1):
        assert batch.tolist() == loops[0][n - 1]
        states.append(sampler.state_dict(consumed=n))
    assert [batch.tolist() for batch in loader] == loops[1]

    resumed = make(seed=9)
    resumed.load_state_dict(states[9])
    loader = DataLoader(dataset, batch_sampler=resumed, **workers)
    for n, batch in enumerate(loader, 1):
        assert batch.tolist() == loops[0][9 + n]
        assert resumed.state_dict(consumed=n) == states[9 + n]
    assert n == len(sampler) - 10
    assert [batch.tolist() for batch in loader] == loops[1]


@pytest.mark.parametrize("workers", [{"num_workers": 1}, {"num_workers": 2, "persistent_workers": True}])
def test_workers_fetch_ahead_and_a_state_without_consumed_is_refused(workers):
    sampler = make()
    loader = DataLoader(torch.arange(len(DOMAINS)), batch_sampler=sampler, **workers)
    assert sampler.state_dict()["position"] == 0  # nothing is drawn yet
    batches = iter(loader)
    next(batches)
    with pytest.raises(
        RuntimeError, match=r"consumed must be given: a DataLoader with num_workers=. has drawn .*Resum"
    ):
        sampler.state_dict()
    assert sampler.state_dict(consumed=1)["position"] == 1
    assert sampler.state_dict(consumed=0)["position"] == 0
    list(batches)
    with pytest.raises(RuntimeError, match="consumed must be given"):
        sampler.state_dict()
    saved = sampler.state_dict(consumed=len(sampler))
    sampler.load_state_dict(saved)
    assert sampler.state_dict() == saved
    list(sampler)  # a loop without workers
    assert sampler.state_dict()["position"] == 2 * len(sampler)


def test_a_copy_of_a_sampler_whose_loader_is_ahead_refuses_too():
    sampler = make()
    loader = iter(DataLoader(torch.arange(len(DOMAINS)), batch_sampler=sampler, num_workers=1))
    next(loader)
    for copied in (copy.deepcopy(sampler), pickle.loads(pickle.dumps(sampler))):
        with pytest.raises(RuntimeError, match="consumed must be given"):
            copied.state_dict()
        assert copied.state_dict(consumed=1) == sampler.state_dict(consumed=1)


def test_a_state_is_refused_while_another_thread_draws():
    sampler = make()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: list(itertools.islice(sampler, 4))).result()
        assert pool.submit(sampler.state_dict).result()["position"] == 4
    with pytest.raises(RuntimeError, match="another thread has drawn 4 batches"):
        sampler.state_dict()
    assert sampler.state_dict(consumed=2)["position"] == 2


def test_two_loops_at_once_and_a_state_loaded_inside_a_loop_are_refused():
    sampler = make()
    first = iter(sampler)
    next(first)
    saved = sampler.state_dict()
    second = iter(sampler)
    next(first)  # the second has not begun
    next(second)
    begun = sys._getframe().f_lineno - 1
    with pytest.raises(
        RuntimeError, match=rf"one loop at a time.*another one has, at .*test_sampler\.py:{begun}; start"
    ):
        next(first)
    sampler.load_state_dict(saved)
    with pytest.raises(RuntimeError, match="one loop at a time"):
        next(second)


def test_the_sampler_says_how_many_loops_have_begun_and_where_the_last_one_entered():
    sampler = make()
    assert (sampler.loops, sampler.entry_position) == (0, 0)
    iter(sampler)
    loop = iter(sampler)
    assert sampler.loops == 0
    next(loop)
    assert (sampler.loops, sampler.entry_position) == (1, 0)
    list(itertools.islice(loop, 9))
    saved = sampler.state_dict()
    list(sampler)
    list(itertools.islice(sampler, 4))
    assert (sampler.loops, sampler.entry_position) == (3, 0)

    resumed = make()
    resumed.load_state_dict(saved)
    assert (resumed.loops, resumed.entry_position) == (0, 10 % 6)
    list(resumed)
    assert (resumed.loops, resumed.entry_position) == (1, 10 % 6)
    next(iter(resumed))
    assert (resumed.loops, resumed.entry_position) == (2, 0)
    for name in ("loops", "entry_position"):
        with pytest.raises(AttributeError, match=name):
            setattr(resumed, name, 3)


@pytest.mark.parametrize("workers", [{}, {"num_workers": 2}, {"num_workers": 2, "persistent_workers": True}])
def test_loops_and_entry_position_with_a_dataloader(workers):
    sampler = make()
    sampler.load_state_dict({**make().state_dict(), "position": 28})
    loader = DataLoader(torch.arange(len(DOMAINS)), batch_sampler=sampler, **workers)
    for loops, entry, length in ((1, 4, 2), (2, 0, 30), (3, 0, 30)):
        found = [(sampler.loops, sampler.entry_position) for _ in loader]
        assert found == [(loops, entry)] * length


# ------------------------------------------------------------------------------ what a DataLoader is told of


@pytest.mark.parametrize("length", [len(DOMAINS) - 1, len(DOMAINS) + 1])
@pytest.mark.parametrize("workers", [0, 1])
def test_a_dataset_of_another_length_than_the_domains_is_refused(length, workers):
    loader = DataLoader(torch.arange(length), batch_sampler=make(), num_workers=workers)
    with pytest.raises(
        ValueError, match=f"domains must have one entry for each example of the dataset, {length}, got 34"
    ):
        next(iter(loader))


def test_a_sampler_of_whole_batches_is_no_sampler_of_examples():
    with pytest.raises(TypeError, match=r"sampler must not be a DomainBatchSampler.*batch_sampler="):
        next(iter(DataLoader(torch.arange(len(DOMAINS)), sampler=make())))
    # without automatic batching the dataset takes whole lists of indices
    loader = DataLoader(torch.arange(len(DOMAINS)), sampler=make(), batch_size=None)
    assert [batch.tolist() for batch in loader] == list(make())


def test_a_sampler_inside_the_dataset_of_another_loader_is_no_affair_of_that_loader():
    class Rollouts(torch.utils.data.Dataset):
        def __len__(self):
            return 5

        def __getitem__(self, index):
            return torch.tensor(next(iter(make())))

    assert len(list(DataLoader(Rollouts()))) == 5


def test_batches_in_any_order_are_refused():
    loader = DataLoader(torch.arange(len(DOMAINS)), batch_sampler=make(), num_workers=2, in_order=False)
    with pytest.raises(ValueError, match="in_order must be True"):
        next(iter(loader))


@pytest.mark.parametrize(
    "name", ["batch_size", "splits", "mode", "num_replicas", "rank", "rollout_length", "domain_ids"]
)
def test_an_argument_cannot_be_changed_later(name):
    sampler = make()
    with pytest.raises(AttributeError, match=f"{name} of a sampler is fixed.*make a new DomainBatchSampler"):
        setattr(sampler, name, getattr(sampler, name))


# --------------------------------------------------------------------------- examples seen many times as often


def test_repeats_are_passes_through_the_mini_batches_of_each_domain():
    for mode, expected in (
        ("max_size_cycle", (5 / 3, 5 / 2, 1)),
        ("infinite", (5 / 3, 5 / 2, 1)),
        ("min_size", (2 / 3, 1, 2 / 5)),
    ):
        assert make(mode=mode).repeats == dict(zip(("art", "photo", "sketch"), expected, strict=True))
    sampler = make()
    seen = Counter(sampler.domain_of(batch) for batch in sampler)
    for domain, passes in sampler.repeats.items():
        minibatches = DOMAINS.count(domain) // 3
        assert seen[domain] / (minibatches * sampler.splits) == pytest.approx(passes)


@pytest.mark.parametrize("mode", ["max_size_cycle", "infinite"])
def test_a_domain_that_is_gone_through_ten_times_is_warned_about_once(mode):
    domains = ["a"] * 5 + ["b"] * 40 + ["c"] * 4
    with pytest.warns(UserWarning, match="domains are uneven") as found:
        sampler = make(domains, batch_size=4, mode=mode)
    list(itertools.islice(sampler, 99))  # with warnings as errors
    assert len(found) == 1
    assert found[0].filename == __file__
    message = str(found[0].message)
    assert "goes 10 times through domain 'a', which has 5 examples (and 1 more 10 times or more)" in message
    assert "and 1 times through the largest, 'b' with 40" in message
    assert sampler.repeats == {"a": 10, "b": 1, "c": 10}


@pytest.mark.filterwarnings("error")
def test_nine_times_and_one_pass_through_the_smallest_are_not_warned_about():
    make(["a"] * 4 + ["b"] * 39, batch_size=4)
    make(["a"] * 4 + ["b"] * 400, batch_size=4, mode="min_size")


@UNEVEN
def test_what_the_remedies_of_the_warning_do():
    """min_size only ends the loop earlier: the stream is the same. Drawing in proportion evens the examples out."""
    domains = ["a"] * 4 + ["b"] * 200
    short, long = make(domains, batch_size=4, mode="min_size"), make(domains, batch_size=4)
    assert flat([list(short) for _ in range(50)]) == list(long)
    assert short.repeats["a"] == 1
    group = GroupBatchSampler(domains, 4, 2, 2, seeded(), distinct=False, uniform=False)
    assert all(0.9 < passes <= 1 for passes in group.repeats.values())
    assert make(["b"] * 204, batch_size=4).repeats == {"b": 1}  # merged


# -------------------------------------------------------------------------------------------------- ranks


@UNEVEN
@settings(max_examples=40, deadline=None)
@given(st.data(), st.integers(2, 4))
def test_ranks_share_the_domain_order_and_cut_up_one_large_batch(data, world):
    options = data.draw(configurations(replicas=world))
    ranks = [make(**options, num_replicas=world, rank=rank) for rank in range(world)]
    one = make(**{**options, "batch_size": options["batch_size"] * world})
    assert {len(sampler) for sampler in ranks} == {len(one)}
    streams = [list(sampler) for sampler in ranks]
    even = options["batch_size"] % options["splits"] == 0
    together = [flat(batches) for batches in zip(*streams, strict=True)]
    for batches, united, large in zip(zip(*streams, strict=True), together, one, strict=True):
        assert {ranks[0].domain_of(batch) for batch in batches} == {one.domain_of(large)}
        assert len({len(batch) for batch in batches}) == 1
        assert len(set(united)) == len(united)
        if even:
            assert sorted(united) == sorted(large)
    # Where splits does not divide batch_size the parts are cut elsewhere, the mini-batches are still the same.
    one.load_state_dict({**one.state_dict(), "position": 0, "loop_start": 0})
    for a, b in zip(rollouts(one, together), rollouts(one, list(one)), strict=True):
        assert sorted(flat(a)) == sorted(flat(b))


def test_a_state_saved_on_one_rank_resumes_every_rank():
    ranks = [make(num_replicas=2, rank=rank) for rank in range(2)]
    whole = [list(sampler) for sampler in ranks]
    saver = make(num_replicas=2, rank=0)
    list(itertools.islice(saver, 4))
    for rank in range(2):
        resumed = make(num_replicas=2, rank=rank, seed=3)
        resumed.load_state_dict(saver.state_dict())
        assert list(resumed) == whole[rank][4:]


def test_ranks_come_from_torch_distributed(monkeypatch):
    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    monkeypatch.setattr(dist, "get_world_size", lambda: 2)
    monkeypatch.setattr(dist, "get_rank", lambda: 1)
    sampler = make()
    assert (sampler.num_replicas, sampler.rank) == (2, 1)
    alone = make(num_replicas=1, rank=0)
    assert (alone.num_replicas, alone.rank) == (1, 0)
    with pytest.raises(ValueError, match=r"generator must be given with num_replicas=2.*same seed"):
        DomainBatchSampler(DOMAINS, 3)


# ---------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"batch_size": 8}, ValueError, r"batch_size=8 .*'photo' has 7; use a smaller batch_size"),
        ({"batch_size": 4, "num_replicas": 2, "rank": 0}, ValueError, r"num_replicas=2 takes 8 .*'photo' has 7"),
        ({"batch_size": 0}, ValueError, r"batch_size must be at least 1, got 0"),
        ({"batch_size": 3.0}, TypeError, r"batch_size must be an int, got 3.0 \(float\)"),
        ({"batch_size": True}, TypeError, r"batch_size must be an int, got True \(bool\)"),
        ({"batch_size": None}, TypeError, r"batch_size must be an int, got None"),
        ({"batch_size": 2, "splits": 3}, ValueError, r"batch_size must be at least splits=3.*got 2"),
        ({"splits": -1}, ValueError, r"splits must be at least 1, got -1"),
        ({"splits": "2"}, TypeError, r"splits must be an int, got '2' \(str\)"),
        ({"domains": []}, ValueError, r"domains is empty"),
        ({"domains": torch.tensor([])}, ValueError, r"domains is empty"),
        ({"domains": "abc"}, TypeError, r"domains must be a sequence.*got str"),
        ({"domains": 7}, TypeError, r"domains must be a sequence.*got int"),
        ({"domains": torch.tensor(7)}, TypeError, r"domains must be a sequence.*got Tensor"),
        ({"domains": (d for d in DOMAINS)}, TypeError, r"got generator; list"),
        ({"domains": [0.0, 1.0]}, TypeError, r"all ints or all strings.*got 0.0 at 0"),
        ({"domains": [0, float("nan")]}, TypeError, r"all ints or all strings.*nan at 1"),
        ({"domains": [False, True]}, TypeError, r"all ints or all strings.*got False"),
        ({"domains": torch.tensor([0.0, 1.0])}, TypeError, r"all ints or all strings.*domains\.long\(\)"),
        ({"domains": torch.tensor([True, False])}, TypeError, r"got True at 0, True at 0.*domains\.long\(\)"),
        ({"domains": [0, float("nan")]}, TypeError, r"example without a domain must be left out"),
        ({"domains": np.array([b"a", b"b"])}, TypeError, r"got b'a' at 0.*decode"),
        ({"domains": torch.eye(3, dtype=torch.int64)}, TypeError, r"one-hot rows, argmax\(1\)"),
        ({"domains": {0: "a", 1: "b"}}, TypeError, r"domains must be a sequence.*got dict"),
        ({"domains": torch.zeros(4, dtype=torch.int64, device="meta")}, TypeError, r"domains must hold values.*meta"),
        ({"domains": [0, "0"]}, TypeError, r"all ints or all strings.*got 0 at 0, '0' at 1"),
        ({"domains": ["0", None]}, TypeError, r"all ints or all strings.*None at 1"),
        ({"domains": torch.zeros(4, 2, dtype=torch.int64)}, TypeError, r"in one dimension, got \[0, 0\] at 0"),
        ({"mode": "max_size"}, ValueError, r"mode must be one of 'max_size_cycle', .*got 'max_size'"),
        ({"mode": None}, ValueError, r"mode must be one of .*got None"),
        ({"num_replicas": 2, "rank": 2}, ValueError, r"rank must be from 0 to num_replicas - 1 = 1, got 2"),
        ({"num_replicas": 2, "rank": -1}, ValueError, r"rank must be at least 0, got -1"),
        ({"num_replicas": 0, "rank": 0}, ValueError, r"num_replicas must be at least 1, got 0"),
        ({"num_replicas": 2.0, "rank": 0}, TypeError, r"num_replicas must be an int, got 2.0"),
        ({"num_replicas": 2}, ValueError, r"num_replicas and rank must be given together.*rank=None"),
        ({"rank": 0}, ValueError, r"num_replicas and rank must be given together.*num_replicas=None"),
        ({"generator": 0}, TypeError, r"generator must be a torch.Generator or None, got 0"),
        ({"generator": None, "num_replicas": 2, "rank": 0}, ValueError, r"generator must be given"),
    ],
)
def test_bad_arguments(options, error, message):
    with pytest.raises(error, match=message):
        DomainBatchSampler(**{"domains": DOMAINS, "batch_size": 3, "generator": seeded(), **options})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 4}, r"batch_size=3 \(here 4\)"),
        ({"splits": 1}, r"splits=2 \(here 1\)"),
        ({"mode": "min_size"}, r"mode='max_size_cycle' \(here 'min_size'\)"),
        ({"domains": [*DOMAINS, "art"]}, r"domains=\d+ \(here \d+\)"),
        ({"domains": DOMAINS[::-1]}, r"domains="),
        ({"num_replicas": 2, "rank": 0}, r"num_replicas=1 \(here 2\)"),
    ],
)
def test_the_state_of_another_sampler_is_refused(options, message):
    with pytest.raises(ValueError, match=r"state_dict must be of a sampler with the same arguments.*" + message):
        make(**options).load_state_dict(make().state_dict())


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"position": -1}, ValueError, "position must be at least 0, got -1"),
        ({"position": 2.5}, TypeError, "position must be an int, got 2.5"),
        ({"position": 31}, ValueError, "position in its loop.*31"),
        ({"position": 5, "loop_start": 6}, ValueError, "position in its loop"),
        ({"position": 5, "loop_start": 3}, ValueError, "position in its loop"),
        ({"seed": None}, TypeError, "seed must be an int"),
    ],
)
def test_an_impossible_state_is_refused_and_changes_nothing(change, error, message):
    sampler = make()
    before = sampler.state_dict()
    with pytest.raises(error, match=message):
        sampler.load_state_dict({**before, **change})
    with pytest.raises(ValueError, match=r"state_dict must come from .*lacks \['seed'\]"):
        sampler.load_state_dict({key: value for key, value in before.items() if key != "seed"})
    assert sampler.state_dict() == before


@pytest.mark.parametrize(
    ("consumed", "error", "message"),
    [
        (5, ValueError, "consumed must be at most 4"),
        (-1, ValueError, "consumed must be at least 0"),
        (1.0, TypeError, "consumed must be an int"),
    ],
)
def test_consumed_is_checked(consumed, error, message):
    sampler = make()
    list(itertools.islice(sampler, 4))
    with pytest.raises(error, match=message):
        sampler.state_dict(consumed)


@pytest.mark.parametrize(("batch", "count"), [([], 0), ([0, 33], 2)])
def test_domain_of_refuses_what_is_no_batch_of_one_domain(batch, count):
    with pytest.raises(ValueError, match=f"indices of one domain, got {count}"):
        make().domain_of(batch)


# --------------------------------------------------------------------------------- taking batches apart


def nested(n: int) -> dict:
    """Every kind of structure and leaf; each leaf holds the number of its example."""
    x = torch.arange(n)
    return {
        "tensor": x.reshape(n, 1).expand(n, 3),
        "pair": Pair(x, [f"{i}" for i in range(n)]),
        "tuple": (x.double(), OrderedDict(names=tuple(f"{i}" for i in range(n)))),
    }


def check_nested(part, rows):
    assert type(part["pair"]) is Pair
    assert type(part["tuple"][1]) is OrderedDict
    assert part["tensor"].tolist() == [[row] * 3 for row in rows]
    assert part["pair"].x.tolist() == rows
    assert part["pair"].y == [f"{row}" for row in rows]
    assert part["tuple"][0].tolist() == rows
    assert part["tuple"][1]["names"] == tuple(f"{row}" for row in rows)


@given(st.lists(st.integers(-2, 2), max_size=12))
def test_split_by_domain_partitions_every_leaf(ids):
    parts = split_by_domain(torch.arange(len(ids)), ids)
    assert list(parts) == sorted(set(ids))
    for domain, part in parts.items():
        assert part.tolist() == [i for i, found in enumerate(ids) if found == domain]
    if ids:
        for domain, part in split_by_domain(nested(len(ids)), torch.tensor(ids)).items():
            check_nested(part, [i for i, found in enumerate(ids) if found == domain])


def test_split_by_domain_leaves_the_batch_alone_and_lets_gradients_through():
    x = torch.randn(4, 2, generator=seeded(), requires_grad=True)
    batch = {"x": x, "y": [1, 2, 3, 4]}
    parts = split_by_domain(batch, ["b", "a", "b", "b"])
    assert batch == {"x": x, "y": [1, 2, 3, 4]}
    parts["a"]["x"].sum().backward()
    assert x.grad.tolist() == [[0, 0], [1, 1], [0, 0], [0, 0]]


@given(st.lists(st.integers(4, 9), min_size=1, max_size=4), st.integers(1, 4), st.integers(0, 2**31))
def test_microbatches_are_passes_of_parts_that_make_up_each_minibatch(sizes, splits, seed):
    rollout = microbatches([nested(size) for size in sizes], splits, seeded(seed))
    D = len(sizes)
    assert len(rollout) == splits * D
    for i in range(splits):
        one_pass = rollout[i * D : (i + 1) * D]
        assert sorted(d for d, _ in one_pass) == list(range(D))
        for d, part in one_pass:
            check_nested(part, list(range(i * sizes[d] // splits, (i + 1) * sizes[d] // splits)))
    again = microbatches([nested(size) for size in sizes], splits, seeded(seed))
    assert [d for d, _ in again] == [d for d, _ in rollout]


def test_microbatches_take_a_mapping_and_views_and_a_fresh_order_in_each_pass():
    x = torch.arange(24)
    parts = split_by_domain(x, ["a", "b", "c"] * 8)
    rollout = microbatches(parts, 8, seeded())
    passes = [tuple(domain for domain, _ in rollout[i : i + 3]) for i in range(0, 24, 3)]
    assert {tuple(sorted(one)) for one in passes} == {("a", "b", "c")}
    assert len(set(passes)) > 2
    for domain, part in rollout:
        assert part.untyped_storage().data_ptr() == parts[domain].untyped_storage().data_ptr()
    torch.manual_seed(3)
    first = [domain for domain, _ in microbatches(parts, 8)]
    torch.manual_seed(3)
    assert [domain for domain, _ in microbatches(parts, 8)] == first


@pytest.mark.parametrize(
    ("batch", "ids", "error", "message"),
    [
        (torch.zeros(3), [0, 1], ValueError, r"^batch must have as many examples as domains, 2, got 3"),
        ({"x": [torch.zeros(2), torch.zeros(1)]}, [0, 1], ValueError, r"^batch\['x'\]\[1\] .* domains, 2, got 1"),
        (Pair(torch.zeros(2), ["a"]), [0, 1], ValueError, r"^batch\.y must have as many"),
        ((torch.zeros(2), None), [0, 1], TypeError, r"^batch\[1\] must be a tensor, dict, list or tuple, got NoneType"),
        (torch.tensor(1.0), [0], ValueError, r"^batch must have a first dimension"),
        ({"x": {}}, [0], ValueError, r"^batch\['x'\] must hold at least one tensor, got an empty dict"),
        (np.zeros(2), [0, 1], TypeError, r"^batch must be a tensor.*ndarray"),
        (torch.zeros(2), [0.5, 1.0], TypeError, r"all ints or all strings"),
        (torch.zeros(2), {0, 1}, TypeError, r"domains must be a sequence.*got set"),
    ],
)
def test_split_by_domain_refuses(batch, ids, error, message):
    with pytest.raises(error, match=message):
        split_by_domain(batch, ids)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([],), ValueError, r"minibatches is empty"),
        (([torch.zeros(4), torch.zeros(2)], 3), ValueError, r"minibatches\[1\] must have splits=3 .* got 2"),
        (({"art": torch.zeros(0)},), ValueError, r"minibatches\['art'\] must have splits=1"),
        (
            ([(torch.zeros(4), torch.zeros(3))],),
            ValueError,
            r"minibatches\[0\]\[1\] .* minibatches\[0\]\[0\], 4, got 3",
        ),
        (([torch.zeros(4)], 0), ValueError, r"splits must be at least 1, got 0"),
        (([torch.zeros(4)], 1.0), TypeError, r"splits must be an int"),
        (([torch.zeros(4)], 1, 7), TypeError, r"generator must be a torch.Generator"),
        (([None],), TypeError, r"minibatches\[0\] must be a tensor"),
        ((5,), TypeError, r"minibatches must be a mapping or a sequence, got int"),
    ],
)
def test_microbatches_refuse(arguments, error, message):
    with pytest.raises(error, match=message):
        microbatches(*arguments)
