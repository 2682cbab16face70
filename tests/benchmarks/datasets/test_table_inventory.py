"""What is said of a whole table: counts, groups, copies, inputs that tell the domain or the target."""

import numpy as np
import pytest
import torch

from benchmarks.datasets import DATASETS
from benchmarks.datasets.inventory import RefusedError
from benchmarks.runs.protocol import fitted, leave_out
from tests.benchmarks.datasets.tables import ROWS, cycle, found, table


def test_what_differs_beyond_seven_digits_is_kept(name):
    small = np.array(cycle(0.25, 0.5, 0.75, 1.0, 1.5))
    entry = DATASETS[name(table(x=1.7e9 + small).drop(columns="age"))]
    split = fitted(leave_out(entry.factory(), ("north",), seed=0), entry.fit)
    assert split.inputs.dtype == torch.float32
    assert len(split.inputs.unique()) == 5
    own = torch.as_tensor(np.unique(small))
    assert torch.allclose(
        split.inputs.unique().diff() / split.inputs.unique().diff()[0], (own.diff() / own.diff()[0]).float()
    )


def test_what_is_the_same_in_training_is_left_out_of_the_held_out_domain(name):
    frame = table(
        x=np.where(np.arange(ROWS) % 3 == 0, 0.7, 0.1), dose=np.where(np.arange(ROWS) % 12 == 0, "new", "old")
    )
    entry = DATASETS[name(frame)]
    text = found(entry, "constant")
    assert "x, dose=new, dose=old with north held out" in text
    split = fitted(leave_out(entry.factory(), ("north",), seed=0), entry.fit)
    for wanted in ("x", "dose=new", "dose=old"):
        assert (split.held_out[0].inputs[:, entry.columns.index(wanted)] == 0).all()
    split = fitted(leave_out(entry.factory(), ("south",), seed=0), entry.fit)
    assert split.inputs[:, entry.columns.index("x")].std() > 0


def test_groups_in_several_domains_are_said(name):
    frame = table(patient=np.arange(ROWS) // 3)
    entry = DATASETS[name(frame, "group=patient")]
    assert "20 of 20 groups of patient stand in several domains" in found(entry, "groups")
    assert "a held-out domain is tested on one fold of five" in found(entry, "groups")
    entry = DATASETS[name(frame, "group=domain+patient")]
    assert not found(entry, "groups")
    data = entry.factory()
    assert len(torch.cat([domain.groups for domain in data.domains]).unique()) == 60
    assert len(leave_out(data, ("north",), seed=0).held_out[0]) == 20


def test_what_else_looks_wrong_is_said(name):
    frame = table(site=np.arange(ROWS) % 3 + 7, x=cycle(1, 2))
    frame["again"] = frame["y"].map({"ill": 5, "well": 6})
    frame.loc[frame["domain"] == "east", "y"] = "ill"
    frame.loc[3] = frame.loc[0]
    frame.loc[4] = frame.loc[0].where(frame.columns != "domain", "south")
    entry = DATASETS[name(frame)]
    assert "east has no row of well" in found(entry, "classes")
    assert "3 of 60 rows are the same" in found(entry, "copies")
    assert "1 of these kinds stand in several domains" in found(entry, "copies")
    frame = table(site=np.arange(ROWS) % 3 + 7)
    frame["again"] = frame["y"].map({"ill": 5, "well": 6})
    entry = DATASETS[name(frame)]
    assert "site: the same in all rows of a domain" in found(entry, "domains")
    assert "again: it is the target in other words" in found(entry, "leak")
    frame.loc[frame["domain"] == "east", "age"] = np.nan
    assert "age in east" in found(DATASETS[name(frame, "missing=mean")], "missing")
    frame["y"] = np.linspace(1000, 90000, ROWS) + 0.5
    assert "say scale=10000" in found(DATASETS[name(frame, "drop=age")], "scale")


def test_the_inventory_counts_rows_and_columns(name):
    frame = table(smoker=cycle(True, False, False, True, True), dose=cycle("low", "high"), patient=np.arange(ROWS) // 4)
    entry = DATASETS[name(frame, "group=patient&drop=dose")]
    rows, columns = entry.inventory().sections
    counts = frame.groupby(["domain", "y"]).size().unstack()
    assert rows.columns == ("domain", "rows", "ill", "well")
    assert rows.rows[0] == ("east", "20", str(counts.loc["east", "ill"]), str(counts.loc["east", "well"]))
    assert [row[0] for row in columns.rows] == ["age", "smoker", "domain", "y", "patient", "dose"]
    assert columns.rows[1] == ("smoker", "truth values", "true 36, false 24", "0", "a number")
    assert [row[-1] for row in columns.rows[2:]] == ["the domain", "the target", "the group", "left out: drop"]
    quantity = DATASETS[name(frame.assign(y=np.arange(ROWS) / 7), "drop=patient")]
    east = (np.arange(ROWS) / 7)[2::3]
    assert quantity.inventory().sections[0].rows[0][:3] == ("east", "20", f"{east.mean():.4g}")


def test_a_table_that_is_refused_shows_what_is_in_it(name):
    frame = table(row=range(ROWS))
    with pytest.raises(RefusedError, match=r"'row' counts the rows.*--allow index") as caught:
        DATASETS[name(frame)]
    (columns,) = [section for section in caught.value.inventory.sections if section.title == "Columns"]
    assert ("row", "whole numbers", "0 .. 59", "0", "a number") in columns.rows


def test_thresholds_rounding_and_gaps_that_tell_the_target_are_said(name):
    rng = np.random.default_rng(3)
    ill = np.array(table()["y"] == "ill")
    assert "x: it is the target" in found(DATASETS[name(table(x=rng.normal(size=ROWS) + 20 * ill))], "leak")
    y = rng.normal(size=ROWS)
    assert "x: it is the target" in found(DATASETS[name(table(y=y, x=(2.2 * y).round(2)))], "leak")
    x = np.where(ill, rng.normal(size=ROWS), np.nan)
    assert "x: which cells are empty" in found(DATASETS[name(table(x=x), "missing=mean")], "leak")
    entry = DATASETS[name(table(x=rng.normal(size=ROWS) + ill))]
    assert "leak" not in {each.what for each in entry.inventory().findings}
