"""The quick comparison: two embedded sets of real digits, about two minutes on two cores."""

from benchmarks.studies.quick.comparison import SETTINGS, compare, experiment

__all__ = ["SETTINGS", "compare", "experiment"]
