"""Configurations: typed, frozen, content-hashed; their files; what is said about mistakes in them."""

import copy
import hashlib
import itertools
import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from benchmarks.algorithms import ALGORITHMS
from benchmarks.commands.options import Chosen, sweep_from
from benchmarks.datasets import DATASETS
from benchmarks.runs.config import RunConfig
from benchmarks.sweeps.config import SweepConfig
from benchmarks.sweeps.files import ConfigError, read, validated
from benchmarks.sweeps.launcher_config import InProcess, Local, Slurm
from benchmarks.sweeps.plan import plan

RUN = RunConfig(dataset="d", algorithm="a", held_out="x+y", seed=1, point=2, hparams={"lr": 0.1, "k": 4})
DOMAINS = DATASETS["coloured-digits"].domains


def test_a_run_round_trips():
    for again in (
        RunConfig.model_validate_json(RUN.model_dump_json()),
        RunConfig.model_validate(RUN.config()),
        pickle.loads(pickle.dumps(RUN)),
        copy.deepcopy(RUN),
    ):
        assert again == RUN
        assert hash(again) == hash(RUN)
        assert again.key() == RUN.key()
    assert RUN.config()["held_out"] == "x+y"
    assert RUN.held_out == ("x", "y")
    assert isinstance(RUN.config()["hparams"]["k"], int)


def test_keys_stay_what_they_are():
    assert RUN.key() == "21733be807c2a07f"  # a change here makes stored records unknown


@given(
    st.fixed_dictionaries(
        {
            "seed": st.integers(0, 9),
            "point": st.integers(0, 9),
            "rollouts": st.integers(1, 9),
            "held_out": st.sampled_from(["x", "y", "x+y"]),
            "hparams": st.dictionaries(st.sampled_from("abc"), st.floats(0, 1)),
        }
    ),
    st.randoms(),
)
def test_equal_configurations_and_only_those_have_equal_keys(changes, random):
    shuffled = list({**RUN.config(), **changes}.items())
    random.shuffle(shuffled)
    other = RunConfig.model_validate(dict(shuffled))
    assert (other.key() == RUN.key()) == (other == RUN)
    assert RunConfig.model_validate({**RUN.config(), **changes}).key() == other.key()


def test_a_run_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        RUN.seed = 3
    with pytest.raises(TypeError, match="fixed"):
        RUN.hparams["lr"] = 1.0
    with pytest.raises(TypeError, match="fixed"):
        RUN.hparams.update(lr=1.0)


@pytest.mark.parametrize(
    "change",
    [{"seed": -1}, {"seed": "x"}, {"rollouts": 0}, {"hparams": {"lr": float("nan")}}, {"held_out": ()}, {"sead": 1}],
)
def test_a_wrong_run(change):
    with pytest.raises(ValidationError):
        RunConfig.model_validate({**RUN.config(), **change})


def sweep(**changes):
    return validated({"datasets": "coloured-digits", "algorithms": ["erm", "pgrad"], "seeds": 2, **changes})


def test_runs_are_the_product():
    runs = sweep(points=3).runs()
    assert len({run.key() for run in runs}) == len(runs) == 2 * 2 * 3 * 3
    assert {run.held_out for run in runs} == {(name,) for name in DOMAINS}
    assert [run.algorithm for run in runs[:4]] == ["erm", "pgrad", "erm", "pgrad"]
    for algorithm in ("erm", "pgrad"):
        own = [run for run in runs if run.algorithm == algorithm]
        assert len(own) == 18  # equal budgets
        assert {frozenset(run.hparams) for run in own} == {frozenset(ALGORITHMS[algorithm].space)}


def test_leaving_several_out():
    assert sweep(leave_out=2).held_out("coloured-digits") == list(itertools.combinations(DOMAINS, 2))
    own = sweep(datasets={"coloured-digits": {"held_out": [[DOMAINS[2], DOMAINS[0]], DOMAINS[1]]}})
    assert own.held_out("coloured-digits") == [(DOMAINS[0], DOMAINS[2]), (DOMAINS[1],)]


def test_cross_validation_adds_its_runs_with_the_same_points():
    plain = sweep(points=2)
    crossed = sweep(points=2, selection=["training-domain", "leave-one-domain-out"])
    assert {run.key() for run in plain.runs()} < {run.key() for run in crossed.runs()}
    sets = crossed.training_sets("coloured-digits")
    assert {frozenset(names) for names in sets} == {
        frozenset(names) for n in (1, 2) for names in itertools.combinations(DOMAINS, n)
    }
    assert len(sets) == 6
    tried = {}
    for run in crossed.runs():
        tried.setdefault((run.algorithm, run.seed, run.point), set()).add(tuple(run.hparams.items()))
    assert {len(hparams) for hparams in tried.values()} == {1}


def test_settings_of_the_sweep_of_a_data_set_and_fixed_hyperparameters():
    found = sweep(
        datasets={"coloured-digits": {"rollouts": 7}, "rotated-digits": None},
        settings={"rollouts": 5, "width": 9},
        fixed={"pgrad": {"n_components": 2}},
        points=2,
    ).runs()
    assert {(run.dataset, run.rollouts, run.width) for run in found} == {
        ("coloured-digits", 7, 9),
        ("rotated-digits", 5, 9),
    }
    assert {run.hparams["n_components"] for run in found if run.algorithm == "pgrad"} == {2}


def test_the_launcher_is_no_part_of_what_is_done():
    assert sweep(launcher="in-process").key() == sweep(launcher={"kind": "slurm", "workers": 9}).key()
    assert sweep(points=2).key() != sweep().key()
    assert isinstance(sweep(launcher="in-process").launcher, InProcess)
    assert sweep(launcher={"workers": 3}).launcher == Local(workers=3)


def test_a_sweep_round_trips():
    for found in (sweep(), sweep(launcher="ray", fixed={"erm": {"lr": 0.1}}, leave_out=2, outputs={"weights": "best"})):
        assert SweepConfig.model_validate_json(found.model_dump_json()) == found


YAML = """\
datasets:
  coloured-digits: {rollouts: 6}
algorithms: [erm, pgrad]
seeds: [3, 4]
launcher:
  kind: slurm
  partition: gpu
"""
TOML = """\
algorithms = ["erm", "pgrad"]
seeds = [3, 4]
datasets.coloured-digits.rollouts = 6
[launcher]
kind = "slurm"
partition = "gpu"
"""


@pytest.fixture
def file(tmp_path):
    def write(text, name="sweep.yaml"):
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path / name

    return write


def test_yaml_and_toml_say_the_same(file):
    found = sweep_from(file(YAML), None)
    assert found == sweep_from(file(TOML, "sweep.toml"), None)
    assert found.seeds == (3, 4)
    assert found.launcher == Slurm(partition="gpu")


def test_options_go_before_the_file(file):
    chosen = Chosen(algorithms=("reptile",), seeds=1, rollouts=9, workers=7)
    found = sweep_from(file(YAML), chosen)
    assert found.algorithms == ("reptile",)
    assert found.seeds == (0,)
    assert {run.rollouts for run in found.runs()} == {9}
    assert found.launcher == Slurm(partition="gpu", workers=7)
    assert sweep_from(file(YAML), Chosen(launcher="local", workers=2)).launcher == Local(workers=2)
    assert sweep_from(None, Chosen(datasets=("coloured-digits",), launcher="in-process")).launcher == InProcess()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "datasets: [coloured-digits]\nalgorithms: [erm,\n  pgard]\n",
            "line 3: algorithms[1]: 'pgard' is not known. Did you mean 'pgrad'?",
        ),
        (
            "datasets:\n  colored-digits: {}\n",
            "line 2: datasets.colored-digits: 'colored-digits' is not known. Did you",
        ),
        ("datasets: coloured-digits\nsedes: 2\n", "line 2: sedes: 'sedes' is not known. Did you mean 'seeds'?"),
        (
            "datasets: {coloured-digits: {rolouts: 2}}\n",
            "line 1: datasets.coloured-digits.rolouts: 'rolouts' is not known. Did you mean 'rollouts'?",
        ),
        (
            "datasets: coloured-digits\nsettings:\n  width: wide\n",
            "line 3: settings.width: must be a whole number",
        ),
        (
            "datasets: coloured-digits\nsettings: {width: 0}\n",
            "settings.width: must be at least 1",
        ),
        (
            "datasets: coloured-digits\nsettings: {model: mpl}\n",
            "settings.model: 'mpl' is not known. Did you mean 'mlp'?",
        ),
        ("datasets: coloured-digits\nseeds: 0\n", "line 2: seeds: must be a whole number n from 1 on"),
        ("datasets: coloured-digits\nseeds: [1, 1]\n", "seeds: every name may come once only, got 1 1"),
        ("datasets: coloured-digits\nselection: oracel\n", "'oracel' is not known. Did you mean 'oracle'?"),
        (
            "datasets: coloured-digits\nlauncher: {kind: slrum}\n",
            "launcher: kind: 'slrum' is not known. Did you mean 'slurm'?",
        ),
        (
            "datasets: coloured-digits\nlauncher:\n  wokers: 2\n",
            "line 3: launcher.wokers: 'wokers' is not known. Did you",
        ),
        (
            "datasets: coloured-digits\nfixed: {pgrad: {lrr: 2}}\n",
            "fixed: pgrad: 'lrr' is not known. Did you mean 'lr'?",
        ),
        ("datasets: coloured-digits\nleave_out: 3\n", "coloured-digits has 3 domains: holding out 3 leaves none"),
        (
            "datasets: coloured-digits\nleave_out: 2\nselection: leave-one-domain-out\n",
            "holding out 2, and one more for leave-one-domain-out validation, leaves none",
        ),
        (
            "datasets: {coloured-digits: {held_out: [99%]}}\n",
            "held_out of coloured-digits: '99%' is not known. Did you",
        ),
        ("algorithms: [erm]\n", "datasets: must be given"),
        ("datasets: a\ndatasets: b\n", "line 2: 'datasets' is given twice, first in line 1"),
        (
            "datasets: coloured-digits\nplugins: nowhere_to_be_found\n",
            "the plugin 'nowhere_to_be_found' cannot be imported",
        ),
        ("datasets: [\n", "no YAML"),
        ("- datasets\n", "must map names to values, got list"),
    ],
)
def test_errors_point_at_the_wrong_word(file, text, message):
    path = file(text)
    with pytest.raises(ConfigError) as raised:
        sweep_from(path, None)
    assert str(raised.value).startswith(str(path))
    assert message in str(raised.value)


def test_every_mistake_is_told_at_once(file):
    with pytest.raises(ConfigError) as raised:
        sweep_from(file("datasets: digits\nalgorithms: [pgard]\nsedes: 1\n"), None)
    assert len(str(raised.value).splitlines()) == 3


def test_files_that_are_none(file, tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        read(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match=r"must end in \.yaml"):
        read(file("", "sweep.json"))
    with pytest.raises(ConfigError, match="no TOML"):
        read(file("= 3", "sweep.toml"))


PLUGIN = """
from benchmarks.runs.plugins import register_dataset

@register_dataset({name!r}, domains={domains!r})
def found():
    '''A set.'''
"""


@pytest.mark.parametrize(
    ("name", "domains", "message"),
    [
        ("rotated-digits", ("a", "b"), "there is a data set named 'rotated-digits' already"),
        ("new", ("a", "b+c"), "without"),
    ],
)
def test_plugins_that_are_refused(file, name, domains, message):
    path = file(PLUGIN.format(name=name, domains=domains), "plugin.py")
    with pytest.raises(ConfigError, match=message):
        validated({"datasets": name, "plugins": str(path)})
    assert name not in DATASETS or name == "rotated-digits"


def test_a_plugin_lies_beside_its_sweep_file(file, monkeypatch):
    file(PLUGIN.format(name="beside", domains=("a", "b")), "plugin.py")
    path = file("datasets: beside\nplugins: [plugin.py]\n")
    try:
        assert sweep_from(path, None).held_out("beside") == [("a",), ("b",)]
    finally:
        DATASETS.pop("beside", None)


def test_none_in_the_settings_of_a_data_set_keeps_those_of_the_sweep():
    content = {"datasets": {"rotated-digits": {"model": None, "width": None, "rollouts": 7}}, "algorithms": ["erm"]}
    sweep = validated({**content, "settings": {"model": "linear", "width": 9}})
    settings = sweep.datasets["rotated-digits"].settings(sweep.settings)
    assert (settings.model, settings.width, settings.rollouts) == ("linear", 9, 7)
    assert SweepConfig.model_validate_json(sweep.model_dump_json()) == sweep


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"points": 3, "seeds": 2, "settings": {"lr_scale": 0.01, "rollouts": 7}},
        {"fixed": {"pgrad": {"n_components": 2, "lr": 1}}, "leave_out": 1, "points": 2},
        {"selection": ("training-domain", "leave-one-domain-out"), "seeds": (3, 1)},
        {"datasets": {"coloured-digits": {"held_out": [["10%", "80%"]], "batch_size": 8}, "rotated-digits": {}}},
        {"search": "wide", "share_points": True, "points": 3, "seeds": 2, "settings": {"regime": "features"}},
        {"selection": ("validation", "both"), "points": 3, "cross_points": 2, "seeds": 2, "refit": True, "widen": 1},
    ],
)
def test_runs_are_written_as_they_are(changes):
    """A store takes keys and configurations from texts with gaps; the runs themselves say what they have to be."""
    content = {"datasets": "coloured-digits", "algorithms": ("erm", "pgrad", "coral"), "seeds": 1, **changes}
    sweep = SweepConfig.model_validate(content)
    runs, kept = sweep.runs(), {}
    for _ in range(2):  # the second time with what the first one kept
        written = list(sweep.written(kept))
        assert [one.key for one in written] == [run.key() for run in runs]
        assert [json.loads(one.config) for one in written] == [run.config() for run in runs]
        assert [list(json.loads(one.config)) for one in written] == [list(run.config()) for run in runs]
        for name in ("dataset", "algorithm", "seed", "point", "model"):
            assert [getattr(one, name) for one in written] == [getattr(run, name) for run in runs]
        assert [one.evaluations for one in written] == [run.budget() for run in runs]
    assert sweep.size() == len(runs)
    keys = json.dumps([run.key() for run in runs])
    assert sweep.key() == sweep.key(kept) == hashlib.sha256(keys.encode()).hexdigest()[:16]
    kinds = {(run.dataset, run.algorithm, run.model) for run in runs}
    assert {(run.dataset, run.algorithm, run.model) for run in sweep.first_runs()} == kinds
    shares = plan(sweep)
    assert sum(share.runs for share in shares) == len(runs)
    assert sum(share.evaluations for share in shares) == sum(run.budget() for run in runs)
