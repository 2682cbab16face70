"""torchdata's StatefulDataLoader over a sampler: the stream after a resume in the middle is that of an unbroken run."""

import itertools

import pytest
import torch

from pgrad import DomainBatchSampler

stateful = pytest.importorskip(
    "torchdata.stateful_dataloader", reason="torchdata is missing, whose StatefulDataLoader is tested here"
)

# torchdata 0.11 calls a function of torch that newer releases call deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:'set_vital' is deprecated")
DOMAINS = ["art"] * 11 + ["photo"] * 7 + ["sketch"] * 16
LENGTH = 30
WORKERS = [{}, {"num_workers": 2}, {"num_workers": 2, "persistent_workers": True, "prefetch_factor": 20}]


def loader(seed=0, **options):
    sampler = DomainBatchSampler(DOMAINS, 3, 2, torch.Generator().manual_seed(seed))
    return stateful.StatefulDataLoader(torch.arange(len(DOMAINS)), batch_sampler=sampler, **options)


def take(batches, n=None):
    return [batch.tolist() for batch in itertools.islice(batches, n)]


@pytest.fixture(scope="module")
def stream():
    generator = torch.Generator().manual_seed(0)
    return list(itertools.islice(DomainBatchSampler(DOMAINS, 3, 2, generator, mode="infinite"), 3 * LENGTH))


@pytest.mark.slow
@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("stop", [1, 4, 6, 29])
def test_resumed_in_the_middle_it_goes_on_bit_for_bit(workers, stop, stream):
    first = loader(**workers)
    assert take(first, stop) == stream[:stop]
    second = loader(seed=9, **workers)
    second.load_state_dict(first.state_dict())
    assert take(second, 30 - stop) == stream[stop:LENGTH]
    assert second.batch_sampler.entry_position == stop % 6
    assert take(second) == stream[LENGTH : 2 * LENGTH]


@pytest.mark.slow
@pytest.mark.parametrize("workers", WORKERS)
def test_saved_after_a_whole_loop_it_goes_on_with_the_next(workers, stream):
    """On resume it makes an iterator, sees that this one is at its end, and makes another: no roll-out goes lost."""
    first = loader(**workers)
    take(first)
    second = loader(seed=9, **workers)
    second.load_state_dict(first.state_dict())
    assert take(second) == stream[LENGTH : 2 * LENGTH]
    third = loader(seed=9, **workers)
    third.load_state_dict(second.state_dict())
    assert take(third) == stream[2 * LENGTH :]


def test_the_sampler_itself_refuses_while_workers_are_ahead():
    data = loader(num_workers=1)
    batches = iter(data)
    next(batches)
    with pytest.raises(
        RuntimeError, match=r"consumed must be given: a DataLoader with num_workers=1 has drawn 3 batches"
    ):
        data.batch_sampler.state_dict()
    assert data.batch_sampler.state_dict(consumed=1)["position"] == 1
