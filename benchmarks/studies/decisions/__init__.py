"""Sweeps on sets of decisions; docs/decisions.md says what each asks."""
