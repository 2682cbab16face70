import itertools

import pytest
import torch

from benchmarks.datasets.base import Domain, MultiDomainData
from benchmarks.protocol import batches, best_checkpoint, leave_one_out, select

NAMES = ("a", "b", "c", "d")


@pytest.fixture
def data():
    """The one pixel of example i of domain k is 1000 k + i."""
    domains = [
        Domain(name, 1000.0 * k + torch.arange(50.0 + k)[:, None], torch.arange(50 + k) % 2)
        for k, name in enumerate(NAMES)
    ]
    return MultiDomainData(tuple(domains), n_classes=2)


def pixels(inputs):
    return {int(value) for value in inputs.flatten()}


@pytest.mark.parametrize("held_out", NAMES)
@pytest.mark.parametrize("seed", [0, 1])
def test_split_is_disjoint_and_complete_and_free_of_the_held_out_domain(data, held_out, seed):
    split = leave_one_out(data, held_out, seed)
    train, test = pixels(split.inputs), pixels(split.held_out.inputs)
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
    split = leave_one_out(data, "b", seed=0)
    for value, label, domain in zip(split.inputs.flatten(), split.labels, split.domains, strict=True):
        assert label == (value % 1000) % 2
        assert (0, 2, 3)[domain] == value // 1000


def test_a_domain_is_split_alike_whoever_is_held_out_and_otherwise_with_another_seed(data):
    def validation_of_a(held_out, seed):
        return pixels(leave_one_out(data, held_out, seed).validation[0].inputs)

    assert validation_of_a("b", 0) == validation_of_a("c", 0) != validation_of_a("b", 1)


def test_unknown_held_out_domain(data):
    with pytest.raises(ValueError, match="found 'x'"):
        leave_one_out(data, "x", seed=0)


@pytest.mark.parametrize("kind", ["pooled", "single-domain"])
def test_batches(data, kind):
    split = leave_one_out(data, "d", seed=0)
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


def record(point, validation, held_out, status="finished"):
    selection = {"step": 10, "validation": validation, "held_out": held_out}
    return {"status": status, "config": {"point": point}, "selection": selection}


def test_best_checkpoint_is_the_earliest_of_the_best_in_validation():
    curves = {"step": [10, 20, 30, 40], "validation": [0.5, 0.8, 0.8, 0.7], "held_out": [0.9, 0.1, 0.6, 1.0]}
    assert best_checkpoint(curves) == {"step": 20, "validation": 0.8, "held_out": 0.1}


def test_selection_never_looks_at_the_held_out_domain():
    for scores in itertools.permutations((0.1, 0.5, 0.9)):
        records = [record(point, [0.6, 0.7, 0.7][point], score) for point, score in enumerate(scores)]
        for order in itertools.permutations(records):
            chosen = select(order)
            assert (chosen.point, chosen.validation, chosen.held_out) == (1, 0.7, scores[1])


def test_failed_runs_are_not_selected():
    assert select([record(0, 0.9, 0.9, status="failed"), record(1, 0.2, 0.3)]).point == 1
    assert select([record(0, 0.9, 0.9, status="failed")]) is None
