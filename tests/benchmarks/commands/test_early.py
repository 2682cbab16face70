"""What is refused early is refused later in the same words, and nothing else is."""

import pytest

from benchmarks.base.errors import ConfigError
from benchmarks.commands.chosen import Chosen
from benchmarks.commands.early import refuse_wrong_names
from benchmarks.commands.options import sweep_from


@pytest.mark.parametrize(
    ("content", "options"),
    [
        ("datasets: coloured-digitz\n", {}),
        ("datasets: [rotated-digits,\n coloured-digitz]\n", {}),
        ("datasets:\n  rotated-digits: {}\n  coloured-digitz: {width: 3}\n", {}),
        ("datasets: coloured-digits\nalgorithms:\n- erm\n- pgard\n- smaa\n", {}),
        ("datasets: coloured-digits\nalgorithms: pgard\n", {}),
        ("datasets: coloured-digits\nseedz: 3\nalgorithm: erm\n", {}),
        ("datasets: coloured-digits\nalgorithms: [erm, sam]\n", {"algorithms": ("erm", "pgard")}),
        (None, {"datasets": ("coloured-digits",), "algorithms": ("pgard",)}),
        (None, {"algorithms": ("erm",)}),
        (None, {"datasets": ("folder:nowhere",)}),
        ("datasets:\n  table:nowhere.csv?domain=a: {}\n  folder:no/where?size=32: {}\n", {}),
        ("datasets: coloured-digits\nselection: [validation, bth]\n", {}),
        ("datasets: coloured-digits\n", {"selection": ("lsat",)}),
        ("datasets: coloured-digits\nsearch: wdie\n", {}),
        ("datasets: coloured-digits\nsearch:\n- wide\n- narrow\n", {}),
        ("datasets: coloured-digits\n", {"search": ("tpee",)}),
        ("datasets: coloured-digits\nlauncher: lokal\n", {}),
        ("datasets: coloured-digits\nlauncher:\n  kind: lokal\n", {}),
        (None, {"datasets": ("coloured-digits",), "launcher": "lokal"}),
        ("datasets: coloured-digits\nsettings:\n  rolouts: 3\n", {}),
        (None, {"datasets": ("coloured-digits",), "set": ("rolouts=3",)}),
        (None, {"datasets": ("coloured-digits",), "set": ("rollouts",)}),
        (None, {"datasets": ("coloured-digits",), "set": ("rollouts=[",)}),
    ],
)
def test_the_same_words_early_and_late(tmp_path, content, options):
    file = None
    if content is not None:
        file = tmp_path / "sweep.yaml"
        file.write_text(content)
    with pytest.raises(ConfigError) as late:
        sweep_from(file, Chosen(**options))
    with pytest.raises(ConfigError) as early:
        refuse_wrong_names(file, Chosen(**options))
    assert sorted(str(early.value).splitlines()) == sorted(str(late.value).splitlines())


@pytest.mark.parametrize(
    ("content", "options"),
    [
        ("datasets: coloured-digits\nalgorithms: [erm, sam]\n", {}),
        ("datasets: [table:there.csv, 'folder:.?size=32', 'folder:y?not']\n", {}),
        ("datasets: coloured-digits\nsearch: {ranges: wide, kind: tpe}\nselection: [validation-shared, oracle]\n", {}),
        ("datasets: coloured-digits\nlauncher: {workers: 2}\nsettings: {batch_size: 3}\n", {}),
        ("datasets: mine\nplugins: mine.py\nalgorithms: mine\n", {}),
        ("datasets: mine\n", {"plugin": ("mine.py",)}),
        ("datasets: mine\n", {"set": ("plugins=[mine.py]",)}),
        ("datasets: coloured-digits\nalgorithms: 3\n", {}),  # what kind it must be is said later
    ],
)
def test_what_may_be_right_passes(tmp_path, monkeypatch, content, options):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.csv").write_text("")
    (tmp_path / "y?not").mkdir()
    file = tmp_path / "sweep.yaml"
    file.write_text(content)
    refuse_wrong_names(file, Chosen(**options))
