"""What a user reads: refusals are one message and the exit status 2, and no width breaks names or numbers."""

import re
import subprocess
import sys

import pytest

from benchmarks.algorithms import ALGORITHMS
from benchmarks.commands import say
from tests.benchmarks.commands.terminal import in_terminal
from tests.benchmarks.toy_sweeps import ROOT, TOYS

SWEEP = "datasets: coloured-digits\nalgorithms: [erm]\nseeds: 1\nsettings: {rollouts: 2}\n"


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with a sweep file, a file that is none, and a folder that is no sweep's."""
    (tmp_path / "sweep.yaml").write_text(SWEEP)
    (tmp_path / "file").write_text("text\n")
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def refused(said):
    def call(*words):
        status, out, err = said(*words)
        assert status == 2, (out, err)
        assert out == ""
        assert err.startswith("error: ")
        assert "Traceback" not in err
        return err

    return call


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("swep", 'Unknown command "swep". Did you mean "sweep"?'),
        ("sweep --seedz 2", "Unknown option: --seedz. Did you mean --seeds?"),
        ("plan --datasets coloured-digits --seeds 1.5", "--seeds: must be a whole number, got '1.5'"),
        ("plan --datasets coloured-digits --seeds two", "--seeds: must be a whole number, got 'two'"),
        ("plan --datasets coloured-digits --depth 1e0", "--depth: must be a whole number, got '1e0'"),
        ("quick --seeds 0", "--seeds"),
        ("quick --workers 1.5", "--workers: must be a whole number"),
        ("report", "RUNS requires an argument"),
        ("report sweep.yaml", "sweep.yaml is a sweep file, which says what is to be done"),
        ("report file", "file is neither a file of records nor a store; name the folder of a sweep"),
        ("report folder", "folder must hold store.sqlite or records.jsonl"),
        ("report nowhere", "nowhere does not exist; name the folder of a sweep"),
        ("report folder/records.jsonl", "does not exist"),
        ("plan none.yaml", "none.yaml: there is no such file"),
        ("plan folder", "folder: a folder, and a sweep file is needed"),
        ("plan file", "file: a sweep file must end in .yaml"),
        ("plan sweep.yaml --output file", "--output must name a folder, and file is a file"),
        ("sweep sweep.yaml --output file/below", "--output must name a folder, and file is a file"),
        ("quick --output file", "--output must name a folder, and file is a file"),
        ("data rotated-digits --output file", "--output must name a folder"),
        ("data rotated-digits --folder file", "--folder must name a folder"),
        ("status", "there is no store in runs/sweep"),
        ("status file", "file is a file; name the folder of a sweep"),
        ("status folder", "there is no store in folder"),
        ("status --store file", "file is no store"),
        ("status --store none.sqlite", "--store: there is no file none.sqlite"),
        ("check none.sqlite", "PLACE: there is no file none.sqlite"),
        ("status --store mysql://here/there", "stores are files of SQLite or addresses that begin postgresql://"),
        ("show abc folder", "there is no store in folder"),
        ("again", "KEYS must name a run at least"),
        ("export", "requires an argument"),
        ("export t.csv", "there is no store in runs/sweep"),
        ("import none.jsonl", "none.jsonl does not exist"),
        ("import folder", "folder is a folder; name a file of records in it"),
        ("data nodata", "'nodata' is not known. Known are: rotated-digits"),
        ("data rotated-digits --source nowhere", "--source: there is no folder nowhere"),
        ("quick --algorithms pgard", "--algorithms: 'pgard' is not known. Did you mean 'pgrad'?"),
        ("quick --algorithms erm erm", "--algorithms: every name may come once only, got erm erm"),
        ("physics baselines --algorithms pgard", "--algorithms: 'pgard' is not known. Did you mean 'pgrad'?"),
        ("physics uncertainty --replicas 1", "--replicas"),
        ("performance --methods pgard", "--methods: 'pgard' is not known. Did you mean 'pgrad'?"),
        ("performance --clock sun", "wall"),
        ("gpu --problems resnet51", "--problems: 'resnet51' is not known. Did you mean 'resnet50'?"),
        ("gpu --steps 2", "--steps"),
        ("wilds nope", "'nope' is not known"),
        ("algorithms pgard", "'pgard' is not known. Did you mean 'pgrad'?"),
    ],
)
def test_what_cannot_be_is_refused_with_status_2(place, refused, words, message):
    assert message in refused(*words.split())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("seeds: 1.5", "line 2: seeds: must be a whole number n from 1 on (the seeds 0 .. n - 1) or a list"),
        ("points: many", "line 2: points: must be a whole number, got 'many'"),
        ("points: 2.5", "line 2: points: must be a whole number, got 2.5"),
        ("algorithms: 3", "line 2: algorithms: must be a list, got 3"),
        ("settings: 3", "line 2: settings: must be a mapping from names to values, got 3"),
        ("settings: {width: [1]}", "line 2: settings.width: must be a whole number, got [1]"),
        ("settings: {lr_scale: fast}", "line 2: settings.lr_scale: must be a number, got 'fast'"),
        ("settings: {model: 3}", "line 2: settings.model: must be a text, got 3"),
        ("outputs: {tensorboard: maybe}", "line 2: outputs.tensorboard: must be true or false, got 'maybe'"),
        ("outputs: {weights: worst}", "line 2: outputs.weights: must be 'none' or 'best', got 'worst'"),
        ("launcher: {kind: local, workers: 0}", "line 2: launcher.workers: must be greater than 0, got 0"),
        ("launcher: 3", "line 2: launcher: must be a mapping from names to values, got 3"),
        ("fixed: [1]", "line 2: fixed: must be a mapping from names to values, got [1]"),
        ("fixed: {erm: {lr: small}}", "line 2: fixed.erm.lr: must be a number, got 'small'"),
        (
            "fixed: {sam: {rho: 0.1}}",
            "fixed: the sweep has no algorithm 'sam'; its algorithms are: erm, pgrad, reptile",
        ),
        ("algorithms: []", "line 2: algorithms: must have 1 at least, got []"),
        ("plugins: {a: 1}", "line 2: plugins: must be a list"),
    ],
)
def test_mistakes_in_files_are_told_in_the_users_words(place, refused, content, message):
    (place / "wrong.yaml").write_text(f"datasets: coloured-digits\n{content}\n")
    text = refused("plan", "wrong.yaml")
    assert f"error: wrong.yaml{',' if message.startswith('line') else ': '}" in text
    assert message in text
    assert not re.search(r"[Ii]nput should|valid (integer|string|tuple|dictionary)|pydantic|instance of", text)


def test_version(said):
    status, out, _ = said("--version")
    assert status == 0
    assert re.fullmatch(r"pgrad-bench \d+\.\d+\.\d+( \([^)]+\))?, torch [\d.]+\S*, Python [\d.]+\S*\n", out)


@pytest.mark.slow
@pytest.mark.parametrize("words", ["--help", "sweep --help", "wilds --help", "performance --help"])
@pytest.mark.parametrize("columns", [40, 200])
def test_help_breaks_no_name_at_any_width(words, columns):
    status, lines = in_terminal(*words.split(), columns=columns)
    assert status == 0
    if words != "performance --help":
        assert max(map(len, lines)) <= columns
    wide = in_terminal(*words.split(), columns=300)[1]
    names = {word for line in wide for word in line.split() if word.startswith("--")}
    assert names
    assert names <= {word for line in lines for word in line.split()}


@pytest.mark.slow
def test_lists_and_plans_keep_names_and_numbers_whole_in_a_narrow_terminal(place):
    status, lines = in_terminal("algorithms", columns=40, cwd=place)
    assert status == 0
    assert set(ALGORITHMS) - {name for name in ALGORITHMS if name.startswith("toy")} <= set(lines)
    assert max(map(len, lines)) <= 40
    status, lines = in_terminal(
        "plan", "sweep.yaml", "--set", "settings.rollouts=1000", "--no-timing", columns=40, cwd=place
    )
    assert status == 0
    assert "coloured-digits" in lines
    assert "  gradient evaluations: 18,000" in lines


@pytest.mark.slow
def test_a_refusal_in_a_narrow_terminal_breaks_between_words(place):
    status, lines = in_terminal("report", "sweep.yaml", columns=40, cwd=place)
    assert status == 2
    assert lines[0] == "error: sweep.yaml is a sweep file, which"
    assert max(map(len, lines)) <= 40


@pytest.mark.slow
def test_a_pipe_gets_whole_lines_and_a_heartbeat(tmp_path):
    words = [
        "sweep",
        "--plugin",
        TOYS,
        "--datasets",
        "toy",
        "--algorithms",
        "toy-sgd",
        "--seeds",
        "1",
        "--rollouts",
        "2",
    ]
    words += ["--model", "line", "--launcher", "in-process", "--output", str(tmp_path / "out")]
    command = [sys.executable, "-m", "benchmarks", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout
    assert "\r" not in done.stdout
    beats = [line for line in done.stdout.splitlines() if re.match(r"\d\d:\d\d:\d\d ", line)]
    assert beats[0][9:] == "0 of 3 runs done, 0 running, 3 waiting"
    assert beats[-1][9:] == "3 of 3 runs done"


def test_whoever_reads_may_stop(tmp_path):
    code = f"cd {ROOT} && {sys.executable} -m benchmarks algorithms | head -n 1 >/dev/null; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    assert done.stdout.strip() in ("0", "1", "141")


def test_a_pipe_is_no_terminal_where_colours_are_asked_for(capsys, monkeypatch):
    """As a notebook asks with FORCE_COLOR: what renews itself on a screen would write escape codes into its output."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    to = say.console()
    assert not to.is_terminal
    say.raw(to, "0 of 2 runs done", style="bold")
    assert capsys.readouterr().out == "\x1b[1m0 of 2 runs done\x1b[0m\n"
    monkeypatch.delenv("FORCE_COLOR")
    say.raw(say.console(), "0 of 2 runs done", style="bold")
    assert capsys.readouterr().out == "0 of 2 runs done\n"
