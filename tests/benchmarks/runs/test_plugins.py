"""What a module of the user's declares is held against what it brings, and whoever reads an error finds the line."""

import re

import pytest
import torch

from benchmarks.algorithms import ALGORITHMS
from benchmarks.base.search import LogUniform
from benchmarks.datasets import DATASETS, Domain, MultiDomainData
from benchmarks.runs import plugins
from benchmarks.runs.plugins import agreeing, register_algorithm, register_dataset

SPACE = {"lr": LogUniform(1e-3, 1e-4, 1e-2)}


def made(names=("a", "b"), labels=(0, 1), n_outputs=2):
    domains = [Domain(name, torch.zeros(len(labels), 3), torch.tensor(labels)) for name in names]
    return MultiDomainData(tuple(domains), n_outputs)


@pytest.fixture
def registered():
    """Registers a data set for one test; gives what the registry then builds."""

    def register(data, **options):
        @register_dataset("of-a-plugin", domains=("a", "b"), **options)
        def build():
            return data

        return DATASETS["of-a-plugin"].factory, build

    yield register
    DATASETS.pop("of-a-plugin", None)


def test_data_that_agree_pass_and_the_decorated_function_stays(registered):
    data = made()
    factory, build = registered(data)
    assert factory() is data
    assert build() is data
    assert factory.__name__ == "build"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (made(names=("a", "c")), "declares the domains a, b and returns a, c"),
        (made(names=("b", "a")), "in the same order"),
        (made(labels=(0, 2)), "n_outputs=2, and the labels of domain 'a' reach from 0 to 2"),
        (made(labels=(1, 2), n_outputs=2), "classes are numbered from 0 to n_outputs - 1"),
        (made(labels=(-1, 1)), "from -1 to 1"),
        ({"a": 1}, "must return MultiDomainData, got dict"),
    ],
)
def test_data_that_disagree_are_refused_with_the_line_of_the_function(registered, data, message):
    factory, build = registered(data)
    with pytest.raises((ValueError, TypeError), match=re.escape(message)) as raised:
        factory()
    line = build.__code__.co_firstlineno
    assert str(raised.value).startswith(f"{__file__}, line {line}: the data set 'of-a-plugin' ")


def test_outputs_are_held_against_class_indices_alone():
    targets = made(labels=(0.5, 7.25), n_outputs=1)
    assert agreeing(targets, ("a", "b"), classes=True) is targets
    two_classes_one_logit = made(n_outputs=1)
    assert agreeing(two_classes_one_logit, ("a", "b"), classes=False) is two_classes_one_logit


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"batches": "single_domain"}, ValueError, "'single_domain' is not known. Did you mean 'single-domain'?"),
        ({"passes": 0}, ValueError, "passes of 'mine' must be a whole number from 1 on, got 0"),
        ({"passes": 1.5}, ValueError, "got 1.5"),
        ({"space": {"lr": 0.1}}, TypeError, "must map names to LogUniform, Choice or Grid"),
        ({"space": [0.1]}, TypeError, "got [0.1] for 'space'"),
    ],
)
def test_algorithms_that_cannot_be_are_refused(options, kind, message):
    with pytest.raises(kind, match=re.escape(message)):
        register_algorithm("mine", **{"space": SPACE, **options})(type("Mine", (), {}))
    assert "mine" not in ALGORITHMS


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("import torch\n\nraise RuntimeError('out of order')\n", 3, "RuntimeError: out of order"),
        ("x = 1\ndef f(:\n", 2, "SyntaxError: invalid syntax"),
        (
            "from benchmarks.runs.plugins import register_dataset as r\n\n@r('x', domains=('a',))\ndef x(): ...\n",
            3,
            "ValueError: domains of 'x' must be at least two",
        ),
        ("import no_such_library_at_all\n", 1, "ModuleNotFoundError: No module named 'no_such_library_at_all'"),
    ],
)
def test_errors_of_a_plugin_carry_its_file_and_line(tmp_path, text, line, message):
    path = tmp_path / "mine.py"
    path.write_text(text)
    with pytest.raises(ImportError, match=re.escape(f"cannot be imported: {path}, line {line}: {message}")):
        plugins.load([str(path)])


def test_a_name_that_is_taken_names_both_places(tmp_path):
    text = "from benchmarks.runs.plugins import register_model\n@register_model('{name}')\ndef net(a, b, c): ...\n"
    first, second, third = (tmp_path / name for name in ("first.py", "second.py", "third.py"))
    first.write_text(text.format(name="taken-twice"))
    second.write_text(text.format(name="taken-twice"))
    third.write_text(text.format(name="mlp"))
    plugins.load([str(first)])
    with pytest.raises(ImportError, match=f"named 'taken-twice' already, of {first}; choose another name in {second}"):
        plugins.load([str(second)])
    with pytest.raises(ImportError, match="named 'mlp' already, of the benchmarks themselves"):
        plugins.load([str(third)])
    from benchmarks.models import MODELS

    MODELS.pop("taken-twice")


def test_an_edit_of_one_file_leaves_the_other_files_runs_their_code(tmp_path):
    data, method = tmp_path / "data_of_mine.py", tmp_path / "method_of_mine.py"
    data.write_text(
        "from benchmarks.runs.plugins import register_dataset\n\n"
        "@register_dataset('parted', domains=('a', 'b'))\ndef build(): ...\n"
    )
    method.write_text(
        "from benchmarks.runs.plugins import register_algorithm\n"
        "from benchmarks.base.search import LogUniform\n\n"
        "@register_algorithm('parted', space={'lr': LogUniform(1e-3, 1e-4, 1e-2)})\ndef make(m, h, s): ...\n"
    )
    plugins.load([str(data), str(method)])
    try:
        assert plugins.sources("parted", "parted", "mlp") == [data, method]
        assert plugins.sources("parted", "erm", "mlp") == [data]
        assert plugins.sources("coloured-digits", "erm", "mlp") == []
    finally:
        DATASETS.pop("parted")
        ALGORITHMS.pop("parted")
