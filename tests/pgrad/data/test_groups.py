"""Roll-outs over some of many domains."""

from collections import Counter

import numpy as np
import pytest
import torch

from pgrad import DomainBatchSampler, GroupBatchSampler

# One example of domain 3 among 76: it is gone through more than ten times in a loop, and that is warned about.
pytestmark = pytest.mark.filterwarnings("ignore:domains are uneven")
SIZES = {2: 40, 3: 1, 5: 7, 11: 25, 40: 3}
DOMAINS = [domain for domain, size in SIZES.items() for _ in range(size)]


def make(batch_size: int = 4, n_groups: int = 3, splits: int = 2, seed: int = 0, **options) -> GroupBatchSampler:
    generator = torch.Generator().manual_seed(seed)
    return GroupBatchSampler(DOMAINS, batch_size, n_groups, splits, generator, **options)


def take(sampler: DomainBatchSampler, n: int) -> list[list[int]]:
    return [batch for batch, _ in zip(sampler, range(n), strict=False)]


def rollouts(sampler: GroupBatchSampler, n: int) -> list[list[list[int]]]:
    length = sampler.rollout_length
    batches = take(sampler, n * length)
    return [batches[i * length : (i + 1) * length] for i in range(n)]


def test_a_rollout_takes_every_part_of_a_mini_batch_of_each_of_its_domains() -> None:
    sampler = make(infinite=True)
    for rollout in rollouts(sampler, 50):
        passes = [[sampler.domain_of(batch) for batch in rollout[i : i + 3]] for i in (0, 3)]
        assert sorted(passes[0]) == sorted(passes[1])
        assert len(set(passes[0])) == 3
        assert all(len(batch) == 2 for batch in rollout)


def test_examples_repeat_only_where_a_domain_is_too_small_and_then_evenly() -> None:
    sampler = make(infinite=True)
    for rollout in rollouts(sampler, 50):
        for domain in {sampler.domain_of(batch) for batch in rollout}:
            counts = Counter(i for batch in rollout for i in batch if DOMAINS[i] == domain)
            assert sum(counts.values()) == 4
            assert len(counts) == min(4, SIZES[domain])
            assert max(counts.values()) - min(counts.values()) <= 1


@pytest.mark.parametrize("uniform", [True, False])
def test_domains_are_drawn_alike_or_in_proportion(uniform: bool) -> None:
    sampler = make(batch_size=1, n_groups=1, splits=1, uniform=uniform, infinite=True)
    n = 3000
    counts = Counter(sampler.domain_of(batch) for batch in take(sampler, n))
    for domain, size in SIZES.items():
        p = 1 / len(SIZES) if uniform else size / len(DOMAINS)
        assert abs(counts[domain] - n * p) < 4 * (n * p * (1 - p)) ** 0.5


def test_without_distinct_a_domain_can_come_twice_and_more_often_than_there_are_domains() -> None:
    sampler = make(n_groups=7, distinct=False, infinite=True)
    assert sampler.rollout_length == 14
    found = [Counter(sampler.domain_of(batch) for batch in rollout[:7]) for rollout in rollouts(sampler, 5)]
    assert all(sum(c.values()) == 7 for c in found)
    assert all(max(c.values()) > 1 for c in found)


def test_the_order_of_domains_changes_from_pass_to_pass_and_rollout_to_rollout() -> None:
    sampler = make(n_groups=5, infinite=True)
    orders = [tuple(sampler.domain_of(b) for b in r[i : i + 5]) for r in rollouts(sampler, 10) for i in (0, 5)]
    assert len(set(orders)) > 10


def test_a_loop_takes_about_as_many_examples_as_there_are() -> None:
    sampler = make()
    batches = list(sampler)
    assert len(batches) == len(sampler) == len(DOMAINS) // 12 * 6
    assert list(sampler) != batches
    with pytest.raises(TypeError):
        len(make(infinite=True))


@pytest.mark.parametrize("position", [0, 1, 5, 6, 17, 31])
def test_resumed_anywhere_it_goes_on_as_if_nothing_had_been(position: int) -> None:
    whole = take(make(infinite=True), 40)
    first = make(infinite=True)
    stream = iter(first)
    for _ in range(position):
        next(stream)
    second = make(seed=99, infinite=True)
    second.load_state_dict(first.state_dict())
    assert take(second, 40 - position) == whole[position:]


def test_a_loader_with_workers_that_has_read_ahead_resumes_at_what_was_seen() -> None:
    rows = list(range(len(DOMAINS)))
    whole = take(make(infinite=True), 20)
    sampler = make(infinite=True)
    loader = torch.utils.data.DataLoader(rows, batch_sampler=sampler, num_workers=1)
    for n, batch in enumerate(loader, start=1):
        assert batch.tolist() == whole[n - 1]
        if n == 7:
            saved = sampler.state_dict(consumed=n)
            break
    again = make(infinite=True)
    again.load_state_dict(saved)
    assert take(again, 13) == whole[7:]


def test_only_the_generator_decides() -> None:
    first = take(make(infinite=True), 30)
    np.random.seed(3)  # noqa: NPY002
    torch.manual_seed(3)
    before = torch.get_rng_state(), np.random.get_state()[1].tolist()  # noqa: NPY002
    assert take(make(infinite=True), 30) == first
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1]  # noqa: NPY002
    assert take(make(seed=1, infinite=True), 30) != first


def test_ranks_share_domains_and_divide_the_mini_batch() -> None:
    one = take(make(batch_size=4, splits=1, infinite=True), 9)
    ranks = [take(make(batch_size=2, splits=1, num_replicas=2, rank=rank, infinite=True), 9) for rank in (0, 1)]
    for whole, left, right in zip(one, *ranks, strict=True):
        assert (whole[0::2], whole[1::2]) == (left, right)


def test_a_state_of_other_arguments_is_refused() -> None:
    for other in ({"n_groups": 2}, {"uniform": False}, {"distinct": False}, {"batch_size": 6}, {"splits": 1}):
        with pytest.raises(ValueError, match="same arguments"):
            make(infinite=True).load_state_dict(make(**{"infinite": True, **other}).state_dict())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_groups": 6}, "n_groups must be at most 5, .* got 6"),
        ({"n_groups": 0}, "n_groups must be at least 1"),
        ({"batch_size": 1}, "batch_size must be at least splits=2"),
        ({"splits": 0}, "splits must be at least 1"),
    ],
)
def test_arguments_out_of_range(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(**options)


def test_a_number_of_another_type() -> None:
    with pytest.raises(TypeError, match="n_groups must be an int"):
        make(n_groups=2.0)


@pytest.mark.parametrize("name", ["distinct", "uniform", "infinite"])
@pytest.mark.parametrize("value", ["no", 0, None])
def test_what_is_no_bool_is_not_taken_for_one(name: str, value: object) -> None:
    with pytest.raises(TypeError, match=f"{name} must be True or False, got {value!r}"):
        make(**{name: value})


@pytest.mark.parametrize("name", ["n_groups", "distinct", "uniform", "group_ids", "batch_size"])
def test_an_argument_cannot_be_changed_later(name: str) -> None:
    sampler = make()
    with pytest.raises(AttributeError, match=f"{name} of a sampler is fixed.*make a new GroupBatchSampler"):
        setattr(sampler, name, getattr(sampler, name))


@pytest.mark.parametrize("workers", [0, 1])
def test_a_dataset_of_another_length_than_the_domains_is_refused(workers: int) -> None:
    loader = torch.utils.data.DataLoader(range(50), batch_sampler=make(), num_workers=workers)
    with pytest.raises(ValueError, match="one entry for each example of the dataset, 50, got 76"):
        next(iter(loader))


def test_loops_and_entry_position() -> None:
    sampler, other = make(), make()
    saved = {**other.state_dict(), "position": 10}
    sampler.load_state_dict(saved)
    found = [(sampler.loops, sampler.entry_position) for _ in sampler]
    assert found == [(1, 4)] * (len(sampler) - 10)
    next(iter(sampler))
    assert (sampler.loops, sampler.entry_position) == (2, 0)


@pytest.mark.parametrize("uniform", [True, False])
@pytest.mark.parametrize("distinct", [True, False])
@pytest.mark.parametrize("n_groups", [1, 2, 4, 5])
def test_repeats_are_what_is_seen_on_average(uniform: bool, distinct: bool, n_groups: int) -> None:
    sampler = make(batch_size=2, n_groups=n_groups, splits=1, uniform=uniform, distinct=distinct)
    loops = 150
    seen = Counter(sampler.domain_of(batch) for _ in range(loops) for batch in sampler)
    for domain, passes in sampler.repeats.items():
        slots = passes * SIZES[domain] / 2 * loops  # expected; at most Poisson's variance, and Rosen's error of 3 %
        assert abs(seen[domain] - slots) < 5 * slots**0.5 + 0.03 * slots + 5, (domain, seen[domain], slots)


def test_in_proportion_and_not_distinct_each_example_is_seen_about_once() -> None:
    sampler = make(distinct=False, uniform=False)
    drawn = len(sampler) // sampler.splits * sampler.batch_size
    assert sampler.repeats == pytest.approx(dict.fromkeys(SIZES, drawn / len(DOMAINS)))


@pytest.mark.parametrize(
    ("sizes", "options", "message"),
    [
        # a loop of 12 x 2 x 4 examples gives half of them to each domain
        (
            (4, 96),
            {},
            r"a loop goes 12 times through domain 0, which has 4 examples, and 0.5 times through .*, 1 with 96",
        ),
        # rarely drawn, but then the same example fills half of a mini-batch
        (
            (1, 500, 500),
            {"uniform": False, "n_groups": 1, "batch_size": 20},
            r"a mini-batch of 20 .* goes 20 times .* 0,",
        ),
    ],
)
def test_examples_seen_far_too_often_are_warned_about_once(sizes: tuple, options: dict, message: str) -> None:
    domains = [domain for domain, size in enumerate(sizes) for _ in range(size)]
    with pytest.warns(UserWarning, match=message) as found:
        GroupBatchSampler(domains, **{"batch_size": 4, "n_groups": 2, **options})
    assert len(found) == 1
    assert found[0].filename == __file__


@pytest.mark.filterwarnings("error")
def test_proportion_cures_what_uniform_drawing_does() -> None:
    domains = [domain for domain, size in enumerate((4, 96)) for _ in range(size)]
    GroupBatchSampler(domains, 4, 2, uniform=False, distinct=False)
    GroupBatchSampler(domains, 4, 1, uniform=False)


def test_a_batch_of_several_domains_has_no_domain() -> None:
    with pytest.raises(ValueError, match="2 domains"):
        make().domain_of([0, 45])
