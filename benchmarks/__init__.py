"""Benchmarks of pgrad: `python -m benchmarks quick` compares optimizers on domains that training has not seen.

A comparison is a list of runs (`experiment`).  A run is a specification (`spec`) that names a data set (`datasets`),
an algorithm (`algorithms`), the held-out domain, a seed and a point of random search (`search`).  `protocol` holds the
rules, `runner` turns a specification into a record, `launch` spreads the runs over processes, `store` keeps the
records, and `metrics`, `report`, `figure` and `screen` read them.

The library never imports this package.
"""
