"""Made tables: three clinics, two classes, and what a test adds."""

import numpy as np
import pandas as pd

ROWS = 60


def table(**columns):
    """Three clinics, two classes, a column of noise, and others."""
    rng = np.random.default_rng(1)
    base = {
        "domain": np.array(["north", "south", "east"])[np.arange(ROWS) % 3],
        "y": np.array(["ill", "well"])[np.arange(ROWS) // 3 % 2],
        "age": rng.normal(60, 10, ROWS).round(2),
    }
    return pd.DataFrame({**base, **columns})


def column(entry, column="x"):
    """An input over all rows, domain by domain."""
    number = entry.columns.index(column)
    return np.concatenate([domain.inputs[:, number].numpy() for domain in entry.factory().domains])


def by_domain(values):
    """In the order of the data set's domains."""
    places = np.arange(len(values)) % 3
    return np.concatenate([np.asarray(values)[places == place] for place in (2, 0, 1)])


def found(entry, what):
    return " ".join(finding.text for finding in entry.inventory().findings if finding.what == what)


def cycle(*words):
    return [words[number % len(words)] for number in range(ROWS)]


def varied():
    return [f"{number * 37 % 53 + 100}" for number in range(ROWS)]
