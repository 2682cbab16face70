"""Groups dealt to folds: none parted, none empty, sizes and classes even."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import GroupKFold

from benchmarks.datasets.base import Domain, MultiDomainData
from benchmarks.runs.folds import dealing_of, folds_of
from benchmarks.runs.protocol import leave_out


def grouped(*groups, labels=None):
    domains = []
    for k, numbers in enumerate(groups):
        numbers = torch.as_tensor(numbers)
        own = torch.zeros_like(numbers) if labels is None else torch.as_tensor(labels[k])
        domains.append(Domain("abc"[k], numbers.float()[:, None], own, numbers))
    return MultiDomainData(tuple(domains), n_outputs=2)


def patients(sizes, first=0):
    return np.repeat(np.arange(first, first + len(sizes)), sizes)


def test_five_patients_a_domain_are_enough_for_every_split():
    data = grouped(patients([12, 3, 20, 8, 9]), patients([4] * 5, 10), patients([30, 1, 1, 1, 1], 20))
    for held_out in "abc":
        validated = set()
        for seed in range(5):
            split = leave_out(data, (held_out,), seed, "balanced")
            assert len(split.held_out[0]) == len(data.domains["abc".index(held_out)])
            for number, domain in enumerate(split.validation):
                trained = {*split.inputs[split.domains == number].flatten().tolist()}
                chosen = {*domain.inputs.flatten().tolist()}
                assert len(chosen) == 1
                assert len(trained) == 4
                assert not trained & chosen
                validated |= chosen
        assert len(validated) == 10  # each patient of both training domains once in five seeds


def test_hashed_folds_refuse_some_of_these_splits():
    data = grouped(patients([6] * 5), patients([6] * 5, 5), patients([6] * 5, 10))
    with pytest.raises(ValueError, match="has no validation examples"):
        [leave_out(data, ("a",), seed, "hashed") for seed in range(5)]


@given(st.lists(st.integers(1, 60), min_size=5, max_size=40))
def test_sizes_are_as_even_as_those_of_scikit_learn(sizes):
    groups = patients(sizes)
    fold = folds_of(grouped(groups, [-1, -2]), "balanced")["a"].numpy()
    ours = np.bincount(fold, minlength=5)
    theirs = [len(test) for _, test in GroupKFold(5).split(groups, groups=groups)]
    assert ours.min() > 0
    assert ours.max() <= max(theirs) + max(sizes)
    assert all(len(set(fold[groups == number])) == 1 for number in set(groups))


def test_classes_are_spread():
    """Fifty patients of four, ten of them ill: two ill ones in every fold."""
    groups = patients([4] * 50)
    ill = (groups % 5 == 0).astype(int)
    fold = folds_of(grouped(groups, [-1, -2], labels=[ill, [0, 1]]), "balanced")["a"].numpy()
    assert [len(set(groups[(fold == k) & (ill == 1)])) for k in range(5)] == [2] * 5
    assert np.bincount(fold).tolist() == [40] * 5


def test_a_group_in_several_domains_has_one_fold():
    data = grouped(patients([2] * 30), patients([1] * 30), patients([3] * 30))
    folds = folds_of(data, "balanced")
    for number in range(30):
        assert len({int(fold) for d in data.domains for fold in folds[d.name][d.groups == number]}) == 1
    for seed in range(5):
        split = leave_out(data, ("c",), seed, "balanced")
        tested = {*split.held_out[0].inputs.flatten().tolist()}
        assert len(tested) == 6
        assert not tested & {*split.inputs.flatten().tolist()}


def test_fewer_groups_make_fewer_folds_and_one_is_refused():
    data = grouped(patients([5, 5, 5]), patients([5] * 9, 10), patients([5] * 9, 30))
    assert [len(leave_out(data, ("c",), seed, "balanced").validation[0]) for seed in range(5)] == [5] * 5
    alone = grouped(patients([9]), patients([5] * 9, 10), patients([5] * 9, 30))
    with pytest.raises(ValueError, match="domain 'a' has no training examples with seed 0"):
        leave_out(alone, ("c",), 0, "balanced")
    crossed = grouped(patients([5, 5]), patients([5] * 9), patients([5] * 9))
    with pytest.raises(ValueError, match=r"'a' has 2 groups, and groups stand in several domains: .* need 3"):
        leave_out(crossed, ("c",), 0, "balanced")


def test_the_order_of_the_file_decides_nothing():
    groups = np.array([3, 1, 2, 3, 3, 9, 9, 7, 5, 4])
    straight = folds_of(grouped(groups, [-1, -2]), "balanced")["a"]
    order = np.random.default_rng(0).permutation(10)
    assert torch.equal(folds_of(grouped(groups[order], [-1, -2]), "balanced")["a"], straight[order])


@pytest.mark.parametrize(
    ("name", "folds", "found"),
    [
        ("table:a.csv?domain=b", None, "balanced"),
        ("vader-tfidf", None, "hashed"),
        ("vader-tfidf", "balanced", "balanced"),
    ],
)
def test_who_has_which(name, folds, found):
    assert dealing_of(name, folds) == found
