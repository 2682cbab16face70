"""Contracts as test classes to inherit: what every torch optimizer, and every average of weights, should keep.

Inherit one in a test file, say how to make the object, and pytest (or any runner that calls the methods named
``test_*``) checks each promise on a small model::

    class TestMyOptimizer(pgrad.testing.OptimizerContract):
        cycle = 5  # it does something special at every fifth step

        def make(self, params):
            return MyOptimizer(params, lr=0.01)

All comparisons are exact: both sides do the same arithmetic. Nothing here needs pytest.
"""

from pgrad.testing.averages import AverageContract
from pgrad.testing.optimizers import OptimizerContract

__all__ = ["AverageContract", "OptimizerContract"]
