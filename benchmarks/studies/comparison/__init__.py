"""Sweep files of the comparison with tuned baselines; both share their runs if they share a store."""
