"""A run that is killed anywhere and resumed gets the batches that were still to come, whatever workers had fetched."""

import itertools
import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader, Dataset

import pgrad
from pgrad import DomainBatchSampler, GroupBatchSampler, ResumableLoader

DOMAINS = ["art"] * 11 + ["photo"] * 7 + ["sketch"] * 16
LENGTH = 30  # of a loop: five roll-outs of six batches
WORKERS = [
    {},
    {"num_workers": 1},
    {"num_workers": 2, "persistent_workers": True},
    {"num_workers": 2, "prefetch_factor": 7},
]


def sampler(seed: int = 0, **options) -> DomainBatchSampler:
    return DomainBatchSampler(DOMAINS, 3, 2, torch.Generator().manual_seed(seed), **options)


def groups(seed: int = 0, **options) -> GroupBatchSampler:
    return GroupBatchSampler(DOMAINS, 4, 2, 2, torch.Generator().manual_seed(seed), **options)


def loader(batch_sampler=None, **options) -> ResumableLoader:
    return ResumableLoader(torch.arange(len(DOMAINS)), sampler() if batch_sampler is None else batch_sampler, **options)


def take(batches, n: int | None = None) -> list[list[int]]:
    return [batch.tolist() for batch in itertools.islice(batches, n)]


def resumed(state, make=sampler, **options) -> ResumableLoader:
    """A loader in another process, as good as: its own sampler of another seed, the state as a file has it."""
    again = loader(make(seed=9), **options)
    again.load_state_dict(json.loads(json.dumps(state)))
    return again


def test_it_comes_through_the_one_door():
    assert pgrad.ResumableLoader is pgrad.data.ResumableLoader is ResumableLoader


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("mode", ["max_size_cycle", "infinite"])
def test_killed_after_any_batch_it_goes_on_with_the_next(workers, mode):
    stream = take(iter(DataLoader(torch.arange(len(DOMAINS)), batch_sampler=sampler(mode="infinite"))), 3 * LENGTH)
    data = loader(sampler(mode=mode), **workers)
    states = [data.state_dict()]  # before the first batch
    for n, batch in enumerate(data, 1):
        assert batch.tolist() == stream[n - 1]
        states.append(data.state_dict())
        assert data.batch_sampler.state_dict() == states[-1]  # the sampler knows what its loader handed out
        if n == LENGTH:
            break
    assert [state["position"] for state in states] == list(range(LENGTH + 1))
    for n, state in enumerate(states):
        again = resumed(state, lambda seed: sampler(seed, mode=mode))
        rest = LENGTH - n if n < LENGTH else LENGTH
        assert take(again, rest) == stream[n : n + rest]
        if mode != "infinite":
            assert take(again) == stream[n + rest :][:LENGTH]
    for n in (4, LENGTH):
        again = resumed(states[n], lambda seed: sampler(seed, mode=mode), **workers)
        rest = LENGTH - n if n < LENGTH else LENGTH
        assert take(again, rest) == stream[n : n + rest]
        assert again.state_dict()["position"] == n + rest


@pytest.mark.parametrize("workers", WORKERS)
def test_loops_after_the_first_and_resumed_loops_are_counted_too(workers):
    stream = take(DataLoader(torch.arange(len(DOMAINS)), batch_sampler=sampler(mode="infinite")), 3 * LENGTH)
    first = loader(**workers)
    assert take(first) == stream[:LENGTH]
    assert first.state_dict()["position"] == LENGTH
    assert take(first, 8) == stream[LENGTH : LENGTH + 8]
    second = resumed(first.state_dict(), **workers)
    assert take(second, 7) == stream[LENGTH + 8 : LENGTH + 15]
    third = resumed(second.state_dict(), **workers)
    assert third.state_dict() == second.state_dict()  # before its first batch
    assert take(third) == stream[LENGTH + 15 : 2 * LENGTH]
    assert take(third) == stream[2 * LENGTH :]


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("after", [1, 5, 6, 7])
def test_after_a_break_the_next_loop_starts_at_the_first_roll_out_that_was_not_begun(workers, after):
    stream = take(DataLoader(torch.arange(len(DOMAINS)), batch_sampler=sampler(mode="infinite")), 2 * LENGTH)
    data = loader(**workers)
    for n, _ in enumerate(data, 1):
        if n == after:
            break
    state = data.state_dict()
    assert state["position"] == after
    start = -(-after // 6) * 6
    found = [(batch.tolist(), data.batch_sampler.loops, data.batch_sampler.entry_position) for batch in data]
    assert found == [(batch, 2, 0) for batch in stream[start : start + LENGTH]]
    again = resumed(state)  # completes the loop that was broken off
    found = [(batch.tolist(), again.batch_sampler.loops, again.batch_sampler.entry_position) for batch in again]
    assert found == [(batch, 1, after % 6) for batch in stream[after:LENGTH]]


@given(st.lists(st.tuples(st.integers(1, 40), st.booleans()), max_size=6))
def test_any_sequence_of_loops_breaks_and_resumes_is_that_of_a_plain_loop_over_the_sampler(steps):
    """The reference yields nothing ahead: what it yielded is what the loop has seen."""
    plain, data = sampler(), loader()
    for n, kill in steps:
        expected = list(itertools.islice(plain, n))
        assert take(data, n) == expected
        assert data.state_dict() == plain.state_dict()
        if kill:
            again = sampler(seed=5)
            again.load_state_dict(plain.state_dict())
            plain, data = again, resumed(data.state_dict())


@pytest.mark.parametrize("workers", WORKERS)
def test_ranks_have_one_state_and_each_its_own_examples(workers):
    def rank(k, seed=0):
        return sampler(seed, num_replicas=2, rank=k)

    whole = [list(rank(k)) for k in range(2)]
    ranks = [loader(rank(k), **workers) for k in range(2)]
    for k in range(2):
        assert take(ranks[k], 7) == whole[k][:7]
    state = ranks[0].state_dict()
    assert state == ranks[1].state_dict()
    for k in range(2):
        assert take(resumed(state, lambda seed, k=k: rank(k, seed), **workers)) == whole[k][7:]


@pytest.mark.parametrize("workers", WORKERS)
def test_groups_are_resumed_too(workers):
    expected, data = groups(), loader(groups(), **workers)
    whole = [list(expected), list(expected)]
    assert take(data, 9) == whole[0][:9]
    again = resumed(data.state_dict(), groups, **workers)
    assert take(again) == whole[0][9:]
    assert take(again) == whole[1]


class Fails(Dataset):
    """Breaks at one example."""

    def __init__(self, at: int) -> None:
        self.at = at

    def __len__(self) -> int:
        return len(DOMAINS)

    def __getitem__(self, index: int) -> int:
        if index == self.at:
            raise OSError("no such picture")
        return index


@pytest.mark.parametrize("workers", WORKERS[:2])
@pytest.mark.parametrize("at", [0, 9])
def test_a_batch_that_could_not_be_made_was_not_handed_out(workers, at):
    whole = list(sampler())
    data = ResumableLoader(Fails(whole[at][0]), sampler(), **workers)
    with pytest.raises(OSError, match="no such picture"):
        take(data)
    if at:
        assert data.state_dict()["position"] == at
        assert take(resumed(data.state_dict())) == whole[at:]


@pytest.mark.parametrize("workers", [{}, {"num_workers": 1, "persistent_workers": True}])
def test_a_loop_is_over_when_another_begins_or_a_state_is_loaded(workers):
    data = loader(**workers)
    first = iter(data)
    next(first)
    state = data.state_dict()
    assert take(data) == list(itertools.islice(sampler(mode="infinite"), 6, 6 + LENGTH))
    with pytest.raises((RuntimeError, StopIteration)):  # persistent workers have one iterator, which is at its end
        next(first)
    second = iter(data)
    take(second, LENGTH - 2)  # all is fetched already
    data.load_state_dict(state)
    with pytest.raises(RuntimeError, match="one loop at a time"):
        next(second)


def test_another_loader_of_the_same_sampler_is_noticed():
    data = loader()
    take(data, 3)
    other = iter(DataLoader(torch.arange(len(DOMAINS)), batch_sampler=data.batch_sampler, num_workers=1))
    next(other)
    with pytest.raises(RuntimeError, match="consumed must be given: a DataLoader with num_workers=1 has drawn"):
        data.state_dict()
    assert data.state_dict(consumed=1)["position"] == 6 + 1


def test_what_something_of_ones_own_holds_back_can_be_said():
    data = loader(num_workers=1)
    take(data, 5)
    assert data.state_dict(consumed=4)["position"] == 4
    with pytest.raises(ValueError, match="consumed must be at least 0, got -1"):
        data.state_dict(consumed=-1)


def test_bad_arguments():
    with pytest.raises(TypeError, match=r"batch_sampler must be a pgrad.DomainBatchSampler or .* got list"):
        ResumableLoader(torch.arange(4), [[0, 1]])
    for length in (33, 35):
        with pytest.raises(ValueError, match=f"one entry for each example of the dataset, {length}, got 34"):
            ResumableLoader(torch.arange(length), sampler())
    with pytest.raises(ValueError, match="one entry for each example of the dataset, 33, got 34"):
        ResumableLoader(torch.arange(33), groups())
    with pytest.raises(ValueError, match="in_order must be True"):
        next(iter(loader(num_workers=2, in_order=False)))
    with pytest.raises(ValueError, match="state_dict must come from"):
        loader().load_state_dict({})


def test_a_dataset_without_a_length_is_taken_as_it_is():
    class Endless(Dataset):
        def __getitem__(self, index):
            return index

    assert take(ResumableLoader(Endless(), sampler())) == list(sampler())
