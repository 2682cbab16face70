"""Targets, domains, and the options that say what a column is for."""

import numpy as np
import pytest

from benchmarks.datasets import DATASETS
from tests.benchmarks.datasets.tables import ROWS, cycle, found, table, varied


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (range(ROWS), "60 different whole numbers in 60 rows.*task=classification or task=regression"),
        ([number % 25 for number in range(ROWS)], "25 different whole numbers"),
        (cycle("12 kg", "15 kg", "13.5 kg"), "numbers with units"),
        (["?", *varied()[1:]], r"numbers but for '\?' \(1 cell, first in row 1\)"),
        (cycle("1,5", "2,5"), "say decimal=,"),
        (cycle("2024-01-31", "2024-02-01"), "holds dates"),
        ([f"word {number}" for number in range(ROWS)], "60 different values.*too many to be classes"),
        (cycle("ill"), "one class only"),
        (["", *cycle("ill", "well")[1:]], "'y' of the table is empty in 1 row"),
        (cycle("", "1.5", "2.5"), "'y' of the table is empty in 20 rows"),
        (cycle("0.5", "0.5"), "there is nothing to predict"),
        (cycle("100000000.5", "100000001.25", "100000002.75"), "keep seven digits"),
    ],
)
def test_targets_that_are_asked_back(name, cells, message):
    with pytest.raises(ValueError, match=message):
        DATASETS[name(table(y=list(cells)))]


def test_the_task_that_is_said_is_taken(name):
    counts = [number % 25 for number in range(ROWS)]
    assert DATASETS[name(table(y=counts), "task=regression")].classes == ()
    assert DATASETS[name(table(y=counts), "task=classification")].classes == tuple(map(str, range(25)))
    entry = DATASETS[name(table(y=cycle("3", "10", "9", "10", "9", "10")))]
    assert entry.classes == ("3", "9", "10")
    assert entry.factory().domains[1].labels[:2].tolist() == [0, 2]  # north: rows 0, 3, ...
    assert DATASETS[name(table(y=cycle("1.5", "2.5", "9", "9"), x=varied()), "words=y")].classes == ("1.5", "2.5", "9")


def test_na_and_none_are_labels(name):
    entry = DATASETS[name(table(y=cycle("NA", "EU", "None", "EU")))]
    assert entry.classes == ("EU", "NA", "None")
    assert "empty=NA,None makes these cells empty" in found(entry, "words")
    entry = DATASETS[name(table(y=cycle("NA", "None", "NA")))]  # nothing else in the column
    assert entry.classes == ("NA", "None")


def test_na_among_the_numbers_of_a_target_is_asked_back(name):
    frame = table(y=cycle("0", "1"))
    frame.loc[7, "y"] = "NA"
    with pytest.raises(ValueError, match=r"'y' holds 'NA' in 1 row, which among numbers is an empty cell.*words=y"):
        DATASETS[name(frame)]
    assert DATASETS[name(frame, "words=y")].classes == ("0", "1", "NA")


def test_a_target_that_names_the_domain_is_refused(name):
    site = np.array(["N", "S", "E"])[np.arange(ROWS) % 3]
    with pytest.raises(ValueError, match="no class of the target is in two domains"):
        DATASETS[name(table(site=site), "target=site")]


def test_a_stray_word_in_the_target_is_not_proposed_as_empty(name):
    y = np.array(["?", *map(str, np.arange(ROWS - 1) % 2)])
    with pytest.raises(ValueError, match="or drop these rows; or words=y") as error:
        DATASETS[name(table(y=y))]
    assert "empty=" not in str(error.value)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("target=domain", "target=domain is the column of domains"),
        ("drop=y", "drop=y leaves out the target"),
        ("drop=domain", "drop=domain leaves out the domain"),
        ("group=y", "group=y is the target"),
        ("group=domain", "group=domain is the domain"),
        ("target=Y", r"target=Y: there is no such column.*Did you mean 'y'\?"),
        ("words=domain", "words=domain is for inputs and the target"),
        ("allow=leak", "allows what was not found"),
        ("decimal=;", "decimal must be"),
        ("thousands=.", "thousands must be"),
        ("separator=ab", "separator must be one sign"),
        ("sheet=a", r"sheet is for \.xlsx"),
    ],
)
def test_options_that_are_refused(name, query, message):
    with pytest.raises(ValueError, match=message):
        DATASETS[name(table(), query)]


def test_two_targets_and_names_that_are_the_same(name):
    with pytest.raises(ValueError, match="label and y may both be the target"):
        DATASETS[name(table(label=cycle(1, 2)))]
    for other in ("age", " age", "a ge", "a  ge"):
        frame = table(x=varied()).rename(columns={"x": other})
        if other == "a ge":
            frame["a  ge"] = frame["a ge"]
        elif other == "a  ge":
            continue
        with pytest.raises(ValueError, match="are the same or differ in blanks only"):
            DATASETS[name(frame)]


def test_names_that_hold_the_sign_between_names(name):
    frame = table(x=varied()).rename(columns={"x": "dose, mg+ml"})
    assert DATASETS[name(frame, "drop=dose, mg%2Bml,age&target=y").replace(",age", "")].columns == ("age",)


def test_domains_are_no_rows(name):
    with pytest.raises(ValueError, match="names rows rather than domains"):
        DATASETS[name(table(domain=[f"patient {number}" for number in range(ROWS)]))]
    assert DATASETS[name(table(domain=cycle(10, 9, 2)))].domains == ("2", "9", "10")
