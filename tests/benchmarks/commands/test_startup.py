"""Help, version, completion, status and refused options load nothing heavy: fresh interpreters are asked."""

import json
import os
import subprocess
import sys

import pytest

from benchmarks.__main__ import app
from benchmarks.studies.performance import startup
from tests.benchmarks.toy_sweeps import ROOT

pytestmark = pytest.mark.slow

HELP = """
import contextlib, io, json, sys
from benchmarks.__main__ import app
pages = {}
for words in json.loads(sys.argv[1]):
    with contextlib.redirect_stdout(io.StringIO()) as page:
        app([*words, "--help"], result_action="return_value")
    pages[" ".join(words)] = page.getvalue()
print(json.dumps([pages, sorted(sys.modules)]))
"""


def test_no_help_page_loads_anything_heavy():
    names = [[name] for name in app if not name.startswith("-")]
    words = [*names, ["physics", "baselines"], ["physics", "uncertainty"], ["performance", "startup"]]
    command = [sys.executable, "-W", "error", "-c", HELP, json.dumps(words)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    pages, modules = json.loads(done.stdout)
    assert not set(startup.HEAVY) & set(modules)
    assert not [name for name in modules if name.startswith("pgrad")]
    for name, page in pages.items():
        assert page.startswith(f"Usage: pgrad-bench {name}"), name


def test_what_is_measured_loads_nothing_heavy_and_ends_as_it_should():
    found = {one.words: one for one in startup.measure(rounds=1)}
    assert {words: one.heavy for words, one in found.items() if one.heavy} == {}
    usage = {"no such option", "--seeds 1.5", "no such file", "report of a sweep file", "no such algorithm"}
    usage |= {f"no such {what}" for what in ("key in a file", "command", "folder of pictures", "rule", "setting")}
    usage |= {"no data sets", "no such kind of search"}
    assert {words for words, one in found.items() if one.status == 2} == usage
    assert {words for words, one in found.items() if one.status == 0} == set(found) - usage
    table = startup.table(list(found.values()))
    assert len(table.splitlines()) == 2 + len(found)


def test_a_command_that_works_does_load_what_it_works_with(tmp_path):
    """That the looking is sound: the same look finds torch where it is."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    found = startup.start("algorithms", ["algorithms", "erm"], 0, tmp_path, environment)
    assert found.status == 0
    assert "torch" in found.heavy


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_installs_and_knows_commands_and_options(shell, tmp_path):
    environment = {**os.environ, "HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    for name in [name for name in environment if name.startswith("XDG_")]:
        del environment[name]
    command = [sys.executable, "-m", "benchmarks", "--install-completion", "--shell", shell]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (script,) = [path for path in tmp_path.rglob("*pgrad-bench*") if path.is_file()]
    text = script.read_text(encoding="utf-8")
    assert all(word in text for word in ("pgrad-bench", "sweep", "retry-failed", "evaluate-every"))
    if shell == "bash":
        ask = f"source {script}; COMP_WORDS=(pgrad-bench swe); COMP_CWORD=1; _pgrad_bench; echo ${{COMPREPLY[@]}}"
        done = subprocess.run(["bash", "-c", ask], capture_output=True, text=True, check=True)
        assert done.stdout.split() == ["sweep"]
