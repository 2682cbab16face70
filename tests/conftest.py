"""Every test starts from the same random state, on one thread, so that sums have one order; no test has a deadline."""

import hypothesis
import pytest
import torch

# A busy machine is slow: neither an example nor what draws it has a time limit.
hypothesis.settings.register_profile("pgrad", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("pgrad")


@pytest.fixture(autouse=True)
def _seeded():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)
