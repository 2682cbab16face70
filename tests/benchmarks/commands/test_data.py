from pathlib import Path

import pytest
from PIL import Image

from benchmarks.commands.words.data import data_command
from benchmarks.datasets import DATASETS, cache, fetch, folders, table
from benchmarks.runs import plugins
from tests.benchmarks.datasets.test_folders import fill
from tests.benchmarks.packages import integrity
from tests.benchmarks.toy_sweeps import ROOT, command


@pytest.fixture(autouse=True)
def _places(tmp_path, monkeypatch):
    """The command sets these variables; they are restored after the test."""
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setenv(fetch.VARIABLE, str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def mine(tmp_path):
    fill(tmp_path / "mine", ("a", "b", "c"), ("cat", "dog"))
    return f"folder:{tmp_path / 'mine'}?size=8"


def own_sets():
    """Without those that plugins of other tests have registered."""
    return [name for name in DATASETS if not plugins.sources(name, "", "")]


@pytest.mark.slow
def test_the_list(tmp_path):
    process = command("data", "--folder", tmp_path / "none")
    output, errors = process.communicate()
    assert process.returncode == 0, errors
    for name in own_sets():
        assert name in output
    for word in ("CC-BY-SA-4.0", "not needed", "fluent-emoji-high-contrast", str(tmp_path / "none")):
        assert word in output


def test_prepare_once_then_check(mine, capsys):
    assert data_command(mine) == 0
    first = capsys.readouterr().out
    assert "prepared in" in first
    assert "a 6, b 6, c 6; an example is 3 x 8 x 8, 2 outputs" in first
    assert f"SHA-256 {DATASETS[mine].factory.prepare().digest()}" in first
    assert data_command(mine) == 0
    printed = capsys.readouterr().out
    assert "prepared already and whole" in printed
    assert "  licence: " in printed
    assert "  source: " in printed
    assert data_command(mine, again=True) == 0
    assert "prepared in" in capsys.readouterr().out


def test_a_damaged_file_is_prepared_again(mine, capsys):
    assert data_command(mine) == 0
    path = DATASETS[mine].factory.path
    path.write_bytes(path.read_bytes()[:-50])
    capsys.readouterr()
    assert data_command(mine) == 0
    output = capsys.readouterr().out
    assert "is damaged" in output
    assert "it is prepared again" in output
    assert cache.read(path)[0].names == ("a", "b", "c")


def test_an_own_folder_for_what_is_prepared(mine, tmp_path):
    assert data_command(mine, folder=tmp_path / "elsewhere") == 0
    assert len(list((tmp_path / "elsewhere").glob("folder-*.npz"))) == 1
    assert not (tmp_path / "cache").exists()


@pytest.mark.slow
def test_show_draws_a_row_for_each_domain(mine, tmp_path, capsys):
    assert data_command("rotated-digits", mine, show=True, output=tmp_path / "sheets") == 0
    digits = Image.open(tmp_path / "sheets" / "rotated-digits.png").convert("RGB")
    own = Image.open(next((tmp_path / "sheets").glob("folder_*.png"))).convert("RGB")
    assert digits.height > 1.5 * own.height  # six rows and three
    seen = {colour for number, colour in own.getcolors(2**20) if number > 1000}
    assert {(255, 0, 0), (0, 255, 0)} <= seen  # the two classes
    assert "rotated-digits needs no preparation: 0° 300" in capsys.readouterr().out


def test_show_writes_text_and_numbers(tmp_path):
    rows = ["place,target,x,word"] + [f"{'ab'[n % 2]},{n % 3},{n / 7},{'yes' if n % 5 else 'no'}" for n in range(40)]
    (tmp_path / "table.csv").write_text("\n".join(rows))
    assert data_command(f"table:{tmp_path / 'table.csv'}?domain=place", show=True, output=tmp_path / "sheets") == 0
    sheet = Image.open(next((tmp_path / "sheets").glob("table_*.png"))).convert("L")
    assert sum(number for number, grey in sheet.getcolors() if grey < 64) > 500  # letters


@pytest.mark.parametrize(
    ("name", "status", "message"),
    [
        ("emoji-style4-32", 2, "Did you mean 'emoji-styles4-32'"),
        ("folder:nowhere", 2, "there is no folder nowhere"),
        ("table:nowhere.csv", 2, "there is no file nowhere.csv"),
    ],
)
def test_mistakes_are_explained(name, status, message, capsys):
    assert data_command(name) == status
    assert message in capsys.readouterr().err


def test_a_folder_of_sources_must_exist(tmp_path, capsys):
    assert data_command("emoji-styles4-32", source=tmp_path / "nowhere") == 2
    assert "--source: there is no folder" in capsys.readouterr().err


def test_a_broken_download_is_explained_and_leaves_nothing(tmp_path, capsys):
    package = DATASETS["emoji-styles4-32"].factory.build.args[0]["noto"].package
    path = tmp_path / package.file_name
    path.write_bytes(b"half of it")
    assert integrity(path) != package.integrity
    assert data_command("emoji-styles4-32", source=tmp_path) == 1
    assert "@iconify-json/noto 1.2.9 is broken or another one" in capsys.readouterr().err
    assert not DATASETS["emoji-styles4-32"].factory.path.exists()


def test_the_page_names_every_set_and_option():
    page = (ROOT / "docs/data.md").read_text(encoding="utf-8")
    for name in own_sets():
        assert f"`{name}`" in page or (
            f"`{name.rpartition('-')[0]}-" in page and f"`-{name.rpartition('-')[2]}`" in page
        )
    for option in (*table.OPTIONS, *folders.OPTIONS):
        assert f"| `{option}` |" in page


def copies(root):
    """The folder with one picture in two domains."""
    file = root / "a" / "cat" / "pic_000.png"
    (root / "b" / "cat" / "again.png").write_bytes(file.read_bytes())
    (root / "notes.txt").write_text("no picture")
    return root


def test_it_ends_with_an_inventory(mine, capsys):
    copies(Path(mine.partition(":")[2].partition("?")[0]))
    assert data_command(mine) == 1
    printed = capsys.readouterr()
    assert "again.png): what is tested would be trained on" in printed.err
    assert "--allow copies" in printed.err
    assert ".txt" in printed.out
    assert "few: classes with fewer than 5 pictures" in printed.out
    assert data_command(mine, allow=("copies",)) == 0
    printed = capsys.readouterr().out
    assert "copies (allowed): 1 picture stands in several domains" in printed
    assert printed.index("content: SHA-256") < printed.index("Kinds of pictures")
    assert "  model: cnn, unless a sweep names another" in printed


def test_there_is_nothing_to_allow_in_a_set_of_the_registry(capsys):
    assert data_command("rotated-digits", allow=("copies",)) == 1
    assert "allow is for data of yours, folder:PATH and table:PATH" in capsys.readouterr().err


@pytest.mark.slow
def test_allow_on_the_command_line(mine):
    copies(Path(mine.partition(":")[2].partition("?")[0]))
    process = command("data", mine, "--allow", "copies")
    output, errors = process.communicate()
    assert process.returncode == 0, errors
    assert "copies (allowed)" in output
