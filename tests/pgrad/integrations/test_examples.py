"""Every example of one process runs, and ends as it promises; those of several have their tests with the ranks."""

import contextlib
import os
import runpy
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from accelerate.state import AcceleratorState, GradientState

EXAMPLES = Path(__file__).parents[3] / "examples"
SAYS = {
    "plain.py": "the same bits: True",
    "closures.py": "roll-out 59: mean loss",
    "amp.py": "roll-outs lost: 0",
    "lightning_fit.py": "after 150 steps, 50 of them resumed",
    "accelerate_loop.py": "state saved and loaded at position 2 of 4",
    "hf_trainer.py": "that of the best checkpoint: True",
    "timm_loop.py": "epoch 3: loss",
    "batchnorm.py 1": "PGrad      frozen",
    "averaging.py": "anchors is in the model",
    "choose_data.py": "fifth-shapes/: 120 of another",
    "decision_transformer.py": "after 10 roll-outs",
    "amago.py": "set PGRAD_AMAGO to a checkout of it",
}
SEVERAL_PROCESSES = {"ddp.py", "fsdp2.py"}


@pytest.fixture(autouse=True)
def _fresh():
    """Accelerate's settings are global to a process."""
    AcceleratorState._reset_state(True)
    GradientState._reset_state()
    yield
    AcceleratorState._reset_state(True)
    GradientState._reset_state()


def test_none_is_forgotten():
    names = {path.name for path in EXAMPLES.glob("*.py")}
    assert names - SEVERAL_PROCESSES == {name.split()[0] for name in SAYS}


@pytest.mark.slow
@pytest.mark.parametrize("example", SAYS)
def test_it_runs(example, tmp_path, monkeypatch, capsys):
    name, *arguments = example.split()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PGRAD_AMAGO", raising=False)
    monkeypatch.setattr(sys, "argv", [name, *arguments])
    with warnings.catch_warnings(), contextlib.suppress(SystemExit):  # of one that says what it needs
        warnings.simplefilter("default")  # those of the frameworks are for the user to read
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    out = capsys.readouterr().out
    assert SAYS[example] in out.splitlines()[-1], out


@pytest.mark.slow
@pytest.mark.skipif(
    "PGRAD_AMAGO" not in os.environ, reason="set PGRAD_AMAGO to a checkout of AMAGO, where its packages are installed"
)
def test_the_loop_of_amago(tmp_path):
    """In a process of its own: AMAGO sets warnings and random states of the whole process."""
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "amago.py")], cwd=tmp_path, capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": str(EXAMPLES.parent)},
    )  # fmt: skip
    assert not done.returncode, done.stderr
    assert "24 batches, position 0" in done.stdout.splitlines()[-1]


@pytest.mark.parametrize("example", sorted(SEVERAL_PROCESSES))
def test_those_of_several_processes_say_how_they_are_started(example, monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.setattr(sys, "argv", [example])
    with pytest.raises(SystemExit, match=f"torchrun --nproc-per-node 2 examples/{example}"):
        runpy.run_path(str(EXAMPLES / example), run_name="__main__")


@pytest.mark.parametrize(
    ("example", "library"),
    [
        ("accelerate_loop.py", "accelerate"),
        ("hf_trainer.py", "transformers"),
        ("decision_transformer.py", "transformers"),
        ("lightning_fit.py", "lightning"),
        ("timm_loop.py", "timm"),
        ("choose_data.py", "pillow"),
    ],
)
def test_those_that_need_a_library_say_how_to_get_it(example, library, monkeypatch):
    monkeypatch.setitem(sys.modules, {"pillow": "PIL"}.get(library, library), None)  # as where it is not installed
    with pytest.raises(SystemExit, match=f"this example needs: pip install .*{library}"):
        runpy.run_path(str(EXAMPLES / example), run_name="__main__")


def test_they_are_short():
    lengths = {path.name: len(path.read_text().splitlines()) for path in EXAMPLES.glob("*.py")}
    long = SEVERAL_PROCESSES | {"batchnorm.py", "choose_data.py", "amago.py"}  # a measurement, and two that make data
    assert all(length <= 65 for name, length in lengths.items() if name not in long), lengths
