import itertools

import pytest
import torch

import pgrad
from benchmarks.datasets.base import Domain, MultiDomainData
from benchmarks.runs.protocol import batches, fitted, leave_out, repetition

NAMES = ("a", "b", "c", "d")


@pytest.fixture
def data():
    """The one pixel of example i of domain k is 1000 k + i."""
    domains = [
        Domain(name, 1000.0 * k + torch.arange(50.0 + k)[:, None], torch.arange(50 + k) % 2)
        for k, name in enumerate(NAMES)
    ]
    return MultiDomainData(tuple(domains), n_outputs=2)


def pixels(inputs):
    return {int(value) for value in inputs.flatten()}


@pytest.mark.parametrize("held_out", NAMES)
@pytest.mark.parametrize("seed", [0, 1])
def test_split_is_disjoint_and_complete_and_free_of_the_held_out_domain(data, held_out, seed):
    split = leave_out(data, (held_out,), seed)
    train, test = pixels(split.inputs), pixels(split.held_out[0].inputs)
    validation = pixels(torch.cat([domain.inputs for domain in split.validation]))
    assert not train & validation
    assert train | validation | test == pixels(torch.cat([domain.inputs for domain in data.domains]))
    assert {value // 1000 for value in train | validation} == {0, 1, 2, 3} - {NAMES.index(held_out)}
    assert {value // 1000 for value in test} == {NAMES.index(held_out)}
    assert all(
        len(domain) / (50 + NAMES.index(domain.name)) == pytest.approx(0.2, abs=0.01) for domain in split.validation
    )
    assert [domain.name for domain in split.validation] == [name for name in NAMES if name != held_out]


def test_examples_keep_their_label_and_domain(data):
    split = leave_out(data, ("b",), seed=0)
    for value, label, domain in zip(split.inputs.flatten(), split.labels, split.domains, strict=True):
        assert label == (value % 1000) % 2
        assert (0, 2, 3)[domain] == value // 1000


def test_a_domain_is_split_alike_whoever_is_held_out_and_otherwise_with_another_seed(data):
    def validation_of_a(held_out, seed):
        return pixels(leave_out(data, (held_out,), seed).validation[0].inputs)

    assert validation_of_a("b", 0) == validation_of_a("c", 0) != validation_of_a("b", 1)


def test_several_held_out_domains(data):
    split = leave_out(data, ("d", "a"), seed=0)
    assert [domain.name for domain in split.held_out] == ["a", "d"]
    assert [domain.name for domain in split.validation] == ["b", "c"]
    assert {value // 1000 for value in pixels(split.inputs)} == {1, 2}
    alone = leave_out(data, ("a",), seed=0)
    assert torch.equal(split.validation[0].inputs, alone.validation[0].inputs)


@pytest.mark.parametrize(
    ("held_out", "message"), [(("x",), "got 'x'"), ((), "must leave a domain"), (NAMES, "must leave a domain")]
)
def test_impossible_held_out_domains(data, held_out, message):
    with pytest.raises(ValueError, match=message):
        leave_out(data, held_out, seed=0)


@pytest.mark.parametrize("kind", ["pooled", "single-domain"])
def test_batches(data, kind):
    split = leave_out(data, ("d",), seed=0)
    drawn = list(itertools.islice(batches(kind, split.domains, batch_size=4, splits=2, seed=1), 60))
    assert all(len(index) == 4 for index in drawn)
    per_batch = [len(set(split.domains[index].tolist())) for index in drawn]
    if kind == "single-domain":
        assert set(per_batch) == {1}
        for start in range(0, 60, 6):  # a roll-out sees each domain `splits` times
            rollout = [split.domains[index][0].item() for index in drawn[start : start + 6]]
            assert sorted(rollout) == [0, 0, 1, 1, 2, 2]
    else:
        assert max(per_batch) > 1
        assert len(torch.cat(drawn[:30]).unique()) == 120  # 30 batches of 4 are one pass over the 123 examples
    again = itertools.islice(batches(kind, split.domains, batch_size=4, splits=2, seed=1), 60)
    assert all(torch.equal(one, other) for one, other in zip(drawn, again, strict=True))


def grouped(*numbers):
    """Domains with these groups; the one pixel of an example is its group, its label the number of its domain."""
    domains = [
        Domain(name, groups.float()[:, None], torch.full_like(groups, k), groups)
        for k, (name, groups) in enumerate(zip(NAMES, map(torch.as_tensor, numbers), strict=False))
    ]
    return MultiDomainData(tuple(domains), n_outputs=3)


def test_groups_in_several_domains_are_tested_where_no_training_domain_shows_them():
    data = grouped(*(torch.arange(300).repeat_interleave(2) for _ in range(3)))
    tested = []
    for seed in range(5):
        split = leave_out(data, ("c",), seed)
        train, test = pixels(split.inputs), pixels(split.held_out[0].inputs)
        validation = pixels(torch.cat([domain.inputs for domain in split.validation]))
        assert train | validation | test == set(range(300))
        assert not (train & validation) | (train & test) | (validation & test)
        assert len(split.held_out[0]) == 2 * len(test)
        assert validation == pixels(leave_out(data, ("c",), seed + 1).held_out[0].inputs)
        tested += test
    assert sorted(tested) == list(range(300))  # five seeds test everything once
    assert all(30 <= len(leave_out(data, ("a",), seed).held_out[0]) / 2 <= 90 for seed in range(5))


def test_groups_of_one_domain_only_are_tested_whole():
    data = grouped(torch.arange(100) // 4, 100 + torch.arange(100) // 4, 200 + torch.arange(100) // 4)
    split = leave_out(data, ("b",), seed=3)
    assert len(split.held_out[0]) == 100
    for number, domain in enumerate(split.validation):
        trained = pixels(split.inputs[split.domains == number])
        assert not trained & pixels(domain.inputs)
        assert len(domain) + int((split.domains == number).sum()) == 100


def test_a_refit_trains_on_validation_too_and_tests_the_same(data):
    for held_out in NAMES:
        search, refit = leave_out(data, (held_out,), seed=1), leave_out(data, (held_out,), seed=1, refit=True)
        validation = [int(value) for domain in search.validation for value in domain.inputs.flatten()]
        assert sorted(refit.inputs.flatten().tolist()) == sorted([*search.inputs.flatten().tolist(), *validation])
        assert refit.validation == ()
        assert torch.equal(refit.held_out[0].inputs, search.held_out[0].inputs)
        assert all((0, 1, 2, 3)[int(value) // 1000] != NAMES.index(held_out) for value in refit.inputs.flatten())
        counts = [len(domain) for domain in data.domains if domain.name != held_out]
        assert refit.domains.bincount().tolist() == counts


def test_a_refit_with_groups_in_several_domains_hides_the_test_fold():
    numbers = torch.arange(300)
    data = grouped(numbers // 2, numbers // 2, numbers // 2)
    search, refit = leave_out(data, ("a",), seed=2), leave_out(data, ("a",), seed=2, refit=True)
    tested = pixels(search.held_out[0].inputs)
    assert tested == pixels(refit.held_out[0].inputs)
    assert pixels(refit.inputs) == set(range(150)) - tested


def test_a_domain_without_examples_in_a_fold_is_refused():
    data = grouped(torch.arange(50), torch.arange(50), torch.zeros(9, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"domain 'c' has no (training|validation) examples with seed"):
        [leave_out(data, ("a",), seed) for seed in range(5)]


def test_fit_sees_the_training_parts_alone(data):
    split = leave_out(data, ("d",), seed=0)
    seen = []

    def fit(inputs, labels):
        seen.append((inputs, labels))
        return lambda inputs: inputs - 1000

    moved = fitted(split, fit)
    assert len(seen) == 1
    assert torch.equal(seen[0][0], split.inputs)
    assert torch.equal(seen[0][1], split.labels)
    for before, after in ((split, moved), *zip(split.validation, moved.validation, strict=True)):
        assert torch.equal(after.inputs, before.inputs - 1000)
        assert torch.equal(after.labels, before.labels)
    assert torch.equal(moved.held_out[0].inputs, split.held_out[0].inputs - 1000)
    assert fitted(split, None) is split


SMALL = torch.tensor([0] * 5 + [1] * 40 + [2] * 13)


@pytest.mark.parametrize("kind", ["single-domain", "joint"])
def test_small_domains_are_drawn_with_repetition(kind):
    """A roll-out takes 12 of every domain: five examples go in three times each in a pass of 15."""
    drawn = batches(kind, SMALL, batch_size=4, splits=3, seed=0)
    rows = torch.cat([index.reshape(-1, 4) for index in itertools.islice(drawn, 9 if kind == "single-domain" else 3)])
    assert sorted(SMALL[rows][:, 0].tolist()) == [0] * 3 + [1] * 3 + [2] * 3
    assert all(len(set(row.tolist())) == 1 for row in SMALL[rows])
    own = rows[SMALL[rows[:, 0]] == 0].flatten()
    assert set(own.tolist()) == set(range(5))
    assert own.bincount().max() <= 3
    for number in (1, 2):  # what is large enough has no repetition
        assert len(rows[SMALL[rows[:, 0]] == number].unique()) == 12
    assert repetition(kind, SMALL, 4, 3) == [2.4, 0.3, 12 / 13]


def test_large_domains_are_drawn_as_without_small_ones():
    domains = torch.tensor([0] * 9 + [1] * 40 + [2] * 13)
    plain = pgrad.DomainBatchSampler(
        domains.tolist(), 4, splits=2, generator=torch.Generator().manual_seed(3), mode="infinite"
    )
    found = itertools.islice(batches("single-domain", domains, batch_size=2, splits=2, seed=3), 60)
    assert [index.tolist() for index in found] == list(itertools.islice(plain, 60))


def test_a_pooled_mini_batch_larger_than_the_data():
    first = next(batches("pooled", torch.tensor([0, 0, 1]), batch_size=8, splits=1, seed=0))
    assert len(first) == 8
    assert set(first.tolist()) == {0, 1, 2}
    assert first.bincount().tolist() in ([3, 3, 2], [3, 2, 3], [2, 3, 3])
