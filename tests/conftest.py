"""Every test starts from the same random state, on one thread, so that sums have one order; no test has a deadline.

Those that need CUDA devices say so by the marker ``cuda``, and are skipped where there are fewer.
"""

import hypothesis
import pytest
import torch

# A busy machine is slow: neither an example nor what draws it has a time limit.
hypothesis.settings.register_profile("pgrad", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("pgrad")


def pytest_runtest_setup(item):
    marker = item.get_closest_marker("cuda")
    if marker is not None:
        needed = marker.kwargs.get("devices", 1)
        found = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if found < needed:
            pytest.skip(f"CUDA devices: this check needs {needed}, and {found} are here")


@pytest.fixture(autouse=True)
def _seeded():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)
