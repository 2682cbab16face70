"""The page about choose: its table is the recipe, and the data of its walk are what it says."""

import csv
import importlib.util

from benchmarks.datasets import DATASETS
from benchmarks.studies.choose.recipe import RECIPE
from tests.docs.pages import ROOT

PAGE = (ROOT / "docs/choose.md").read_text(encoding="utf-8")


def test_the_table_of_sizes_is_that_of_the_recipe():
    for number, size in enumerate(RECIPE.sizes):
        row = (number + 1, size.algorithms, size.points, size.rollouts, size.seeds, size.rungs, size.tuned)
        assert f"| {' | '.join(map(str, row))} |" in PAGE
    text = " ".join(PAGE.split())
    assert f": {', '.join(f'`{name}`' for name in RECIPE.algorithms)}." in text
    *names, last = (f"`{name}`" for name in RECIPE.tuned)
    assert f"by {', '.join(names)} and {last}." in text


def test_the_walk_is_on_data_that_the_example_draws(tmp_path):
    spec = importlib.util.spec_from_file_location("choose_data", ROOT / "examples/choose_data.py")
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    example.main(tmp_path, of_clinic=60, of_kind=6)
    clinics = DATASETS[f"table:{tmp_path / 'clinics.csv'}?domain=clinic&target=outcome&group=patient"]
    assert clinics.domains == ("east", "north", "south", "west")
    assert clinics.columns == ("age", "pressure", "scanner=A", "scanner=B")
    shapes = DATASETS[f"folder:{tmp_path / 'shapes'}?size=16"]
    assert shapes.domains == ("bricks", "fog", "night", "paper")
    assert shapes.classes == ("circle", "square", "triangle")
    for what, name in (("row", "fifth-clinic"), ("file", "fifth-shapes")):
        with (tmp_path / f"{name}-truth.csv").open(encoding="utf-8") as file:
            truth = list(csv.DictReader(file))
        number = 60 if what == "row" else len(list((tmp_path / name).iterdir()))
        assert [row[what] for row in truth] == [str(i + 1) if what == "row" else f"{i:03}.png" for i in range(number)]
    with (tmp_path / "fifth-clinic.csv").open(encoding="utf-8") as file:
        assert next(csv.reader(file)) == ["age", "pressure", "scanner"]
