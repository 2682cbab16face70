"""What is said before runs begin, with domain names, and that the runs then do what was said."""

import dataclasses

import pytest
import torch

from benchmarks.base.judges import auc
from benchmarks.datasets import DATASETS
from benchmarks.datasets.base import Domain, MultiDomainData
from benchmarks.runs.config import Settings
from benchmarks.runs.foresight import foresee
from benchmarks.runs.judging import Judging
from benchmarks.runs.protocol import leave_out

CLASSES = DATASETS["coloured-digits"]
ALONE = [("a",), ("b",), ("c",)]


def data_of(*sizes, groups=None, labels=None):
    domains = []
    for k, size in enumerate(sizes):
        own = torch.arange(size) % 2 if labels is None else torch.as_tensor(labels[k])
        numbers = None if groups is None else torch.as_tensor(groups[k])
        domains.append(Domain("abc"[k], torch.randn(size, 2), own, numbers))
    return MultiDomainData(tuple(domains), n_outputs=2)


def told(data, name="plugin-set", held_out=ALONE, seeds=range(3), entry=CLASSES, **settings):
    return foresee(name, entry, data, Settings(**settings), held_out, seeds)


def test_nothing_where_there_is_nothing():
    assert told(data_of(200, 200, 200)) == []


def test_small_domains_are_named_with_the_batch_size_that_fits():
    (one,) = told(data_of(60, 220, 130))
    assert not one.fatal
    assert "'a' (48 training examples, 2.0 times)" in one.text
    assert "'b'" not in one.text
    assert "--batch-size 16 takes none twice" in one.text
    assert told(data_of(60, 220, 130), batch_size=16) == []


def test_a_domain_that_only_tests_is_not_small():
    assert told(data_of(60, 220, 130), held_out=[("a",)]) == []


def test_a_domain_without_a_validation_part_is_named_with_its_seeds():
    (one, *_) = told(data_of(2, 300, 300))
    assert one.fatal
    assert "Domain 'a' (2 examples) has no validation examples with seeds 0, 1, 2" in one.text
    with pytest.raises(ValueError, match="domain 'a' has no validation examples"):
        leave_out(data_of(2, 300, 300), ("b",), 0)


@pytest.mark.parametrize("name", ["plugin-set", "table:x.csv"])
def test_what_is_said_of_groups_is_what_happens(name):
    """Five patients a domain: hashed folds of a named set fail for some seeds, those of a table for none."""
    groups = [torch.arange(100) // 20 + 5 * k for k in range(3)]
    data = data_of(100, 100, 100, groups=groups)
    found = [one for one in told(data, name, seeds=range(5)) if one.fatal]
    failing = set()
    for seed in range(5):
        for held_out in ALONE:
            try:
                leave_out(data, held_out, seed, "hashed" if name == "plugin-set" else "balanced")
            except ValueError as error:
                failing.add(str(error).split("'")[1])
    assert {one.text.split("'")[1] for one in found} == failing
    assert bool(failing) == (name == "plugin-set")
    assert all("--folds balanced" in one.text for one in found)


def test_groups_in_several_domains_are_said_with_what_they_do_to_the_test():
    groups = [torch.arange(100) // 2] * 3
    (one,) = [one for one in told(data_of(100, 100, 100, groups=groups), "table:x") if "several domains" in one.text]
    assert not one.fatal
    assert "a 20 to 20 of 100" in one.text
    few = told(data_of(9, 9, 9, groups=[torch.arange(9) // 5] * 3), "table:x")
    assert [one.fatal for one in few] == [True]
    assert "need 3 at least" in few[0].text


def test_fewer_folds_are_said():
    data = data_of(150, 150, 150, groups=[torch.arange(150) // 50 + 3 * k for k in range(3)])
    assert any("Fewer than 5 folds of groups in 'a' (3)" in one.text for one in told(data, "table:x"))


def test_a_metric_that_is_not_defined():
    data = data_of(200, 200, 200, labels=[torch.zeros(200, dtype=torch.int64), *[torch.arange(200) % 2] * 2])
    found = told(data, metric="auc")
    assert "auc is not defined on the whole of domain 'a': all 200 examples are of class 0" in found[0].text
    assert found[0].fatal
    assert any("the validation part with seed 0" in one.text and not one.fatal for one in found)
    assert not any(one.fatal for one in told(data, held_out=[("b",)], metric="auc"))
    assert not any(one.fatal for one in told(data, measures="auc"))
    assert told(data) == []


def test_a_class_that_only_the_held_out_domain_has():
    labels = [torch.arange(200) % 3, torch.arange(200) % 2, torch.arange(200) % 2]
    (one,) = told(dataclasses.replace(data_of(200, 200, 200, labels=labels), n_outputs=3))
    assert "Without 'a' no training domain shows class 2" in one.text
    assert not one.fatal


def test_figures_for_classes_of_a_quantity():
    data = data_of(200, 200, 200, labels=[torch.randn(200, 1)] * 3)
    (one,) = told(data, metric="auc")
    assert one.fatal
    assert "metric=auc is for classes" in one.text
    assert told(data) == []


def test_validation_is_that_of_the_domains_where_the_metric_is_defined():

    parts = [
        Domain("a", torch.zeros(3, 1), torch.tensor([0, 0, 0])),
        Domain("b", torch.zeros(2, 1), torch.tensor([0, 1])),
    ]
    assert Judging(auc, {}).defined(parts, 2) == ("b",)
    with pytest.raises(ValueError, match=r"not defined on the validation part of any training domain \(a\)"):
        Judging(auc, {}).defined(parts[:1], 2)
