"""What is written into contact sheets."""

import pytest
import torch
from matplotlib.table import Table

from benchmarks.base.metrics import accuracy
from benchmarks.datasets import DatasetEntry, Domain, MultiDomainData
from benchmarks.reports import contact_sheet


def entry(**more):
    return DatasetEntry(factory=lambda: None, description="made", metric=accuracy, domains=("a", "b"), **more)


def words(figure):
    """All words of a figure, those in the cells of tables too, and the titles of panels."""
    cells = [cell.get_text().get_text() for table in figure.findobj(Table) for cell in table.get_celld().values()]
    titles = [axes.get_title() for axes in figure.axes]
    return [*cells, *titles, *(text.get_text() for axes in figure.axes for text in axes.texts)]


def data(inputs):
    labels = torch.arange(len(inputs)) % 2
    return MultiDomainData((Domain("a", inputs, labels), Domain("b$1", inputs, labels)), n_outputs=2)


@pytest.fixture
def drawn(monkeypatch, tmp_path):
    """``drawn(entry, data)``: the words of the sheet that is written."""
    figures = []
    keep = contact_sheet.Figure.savefig
    monkeypatch.setattr(
        contact_sheet.Figure, "savefig", lambda figure, *a, **k: (figures.append(figure), keep(figure, *a, **k))
    )

    def act(entry, data):
        assert contact_sheet.draw("folder:x$y?", entry, data, tmp_path).exists()
        return words(figures[-1])

    return act


def test_pictures_carry_the_names_of_their_classes(drawn):
    found = drawn(entry(classes=("cat", "a dog of many words")), data(torch.rand(4, 3, 8, 8)))
    assert found.count("cat") == found.count("a dog of ma…") == 4
    assert r"b\$1" in found


def test_pictures_without_names_carry_numbers(drawn):
    found = drawn(entry(), data(torch.rand(4, 3, 8, 8)))
    assert found.count("0") == found.count("1") == 4


def test_a_table_carries_the_names_of_its_columns_and_classes(drawn):
    found = drawn(entry(classes=("no", "yes"), columns=("age", "blood pressure systolic")), data(torch.rand(4, 2)))
    assert found.count("age") == found.count("blood pressur…") == found.count("target") == 2
    assert found.count("yes") == found.count("no") == 4


def test_more_columns_than_fit_are_said(drawn):
    names = tuple(f"x{number}" for number in range(15))
    found = drawn(entry(columns=names), data(torch.rand(4, 15)))
    assert "x9" in found
    assert "x10" not in found
    assert found.count("...") == 2


def test_letters_that_no_font_has_and_long_names_are_drawn(tmp_path):
    made, name = data(torch.rand(4, 3, 8, 8)), "folder:" + "/folder" * 60
    first = contact_sheet.draw(name, entry(classes=("猫", "犬")), made, tmp_path)
    other = contact_sheet.draw(f"{name}2", entry(classes=("猫", "犬")), made, tmp_path)
    assert first.exists()
    assert other.exists()
    assert first != other
