"""Every test starts from the same random state, on one thread, so that sums have one order."""

import pytest
import torch


@pytest.fixture(autouse=True)
def _seeded():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)
