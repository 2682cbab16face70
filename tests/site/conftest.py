"""The site that `make docs` has built, named by the environment variable SITE; without it these tests are skipped."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def site():
    if "SITE" not in os.environ:
        pytest.skip("make docs builds the site and runs this")
    return Path(os.environ["SITE"]).resolve()
