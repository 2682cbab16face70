"""A choice among several networks, pretrained ones among them, as they are and fine-tuned."""

import importlib.util
import io
from dataclasses import replace

import pytest
import torch
from rich.console import Console

from benchmarks.base.errors import ConfigError
from benchmarks.datasets import DATASETS
from benchmarks.models.weights import PACKAGE, PACKAGE_FITS, PACKAGE_MODULE
from benchmarks.runs.model_folder import load, save
from benchmarks.studies.choose.candidates import Candidate, space_of
from benchmarks.studies.choose.final import last_training, train_all
from benchmarks.studies.choose.recipe import Recipe, Rung, Size
from benchmarks.studies.choose.run import Asked, choose
from benchmarks.studies.choose.sizing import Speeds, fitting, need
from benchmarks.sweeps.settings import SweepSettings
from benchmarks.sweeps.store import Store
from tests.benchmarks.studies.choose.toys import patients, pictures

MISSING = [name for name in ("timm", PACKAGE_MODULE) if importlib.util.find_spec(name) is None]
pretrained = pytest.mark.skipif(bool(MISSING), reason=f"needs {', '.join(MISSING)}: pip install 'pgrad[models]'")
FEW = Recipe(
    algorithms=("erm",),
    tuned=("erm-ema", "erm"),
    sizes=(Size(1, points=1, rollouts=2), Size(1, points=1, rollouts=2, tuned=1)),
    rungs=(Rung(1.0, 1),),
    checkpoints=2,
    batch_size=4,
    splits=1,
)
MODELS = ("cnn", PACKAGE_FITS)
NARROW = SweepSettings(width=8)


def space_of_pictures(folder, size):
    return space_of(pictures(folder).replace("size=8", "size=32"), MODELS, NARROW, size, FEW)


@pretrained
def test_candidates_are_the_networks_and_the_fine_tuned_ones(tmp_path):
    space = space_of_pictures(tmp_path / "pictures", FEW.sizes[0])
    assert space.candidates() == [Candidate(0, "erm", 0), Candidate(1, "erm", 0)]
    more = replace(space, size=FEW.sizes[1])
    assert more.candidates() == [*space.candidates(), Candidate(2, "erm-ema", 0)]
    runs = [more.run(each, frozenset(["a"]), 0, 0) for each in more.candidates()]
    assert [(run.model, run.weights, run.tuning, run.batch_norm) for run in runs] == [
        ("cnn", "none", "full", None),
        (PACKAGE_FITS, PACKAGE, "frozen", None),
        (PACKAGE_FITS, PACKAGE, "full", "frozen-statistics"),
    ]
    rates = [run.hparams["lr"] for run in runs]
    assert rates[2] < rates[1] < rates[0]  # each regime has ranges of its own
    assert len({run.point for run in runs}) == 3  # a report tells them apart


@pretrained
def test_fine_tuning_is_counted_and_only_taken_where_time_allows(tmp_path):
    space = space_of_pictures(tmp_path / "pictures", FEW.sizes[0])
    plain = Speeds({(0, "erm"): 0.01, (1, "erm"): 0.001}, {})
    both = plain.with_those(Speeds({(2, "erm-ema"): 1.0, (2, "erm"): 1.0}, {}))
    assert fitting(space, plain, 1e6, 1, 0.0).space.size == FEW.sizes[0]  # nothing of it was timed
    fits = fitting(space, both, 1e6, 1, 0.0)
    assert fits.space.size == FEW.sizes[1]
    # Two roll-outs each: three runs without one domain walk over two, three without a pair over one; 1 s an evaluation.
    more = 3 * 2 * 2 + 3 * 2 * 1 + 6 * 0.03
    assert fits.need.search == pytest.approx(need(space, plain).search + more)
    assert fitting(space, both, fits.least * 1.01, 1, 0.0).space.size == FEW.sizes[0]


@pretrained
def test_an_algorithm_that_was_not_timed_counts_as_the_slowest_of_its_network(tmp_path):
    both = replace(FEW, algorithms=("erm", "erm-sgd"), sizes=(Size(2, points=1, rollouts=2),))
    space = space_of(pictures(tmp_path / "pictures"), ("cnn", "mlp"), NARROW, both.sizes[0], both)
    known = {(0, "erm"): 0.01, (1, "erm"): 0.001, (1, "erm-sgd"): 0.002}
    found = need(space, Speeds(known, {}))
    assert found == need(space, Speeds({**known, (0, "erm-sgd"): 0.01}, {}))
    assert found != need(space, Speeds({**known, (0, "erm-sgd"): 0.002}, {}))


def test_without_a_pretrained_network_there_is_nothing_to_fine_tune(tmp_path):
    space = space_of(patients(tmp_path / "patients.csv"), (), SweepSettings(), FEW.sizes[0], FEW)
    assert space.tunable == 0
    assert space.sizes(tuned=True) == [FEW.sizes[0]]
    page = Console(file=io.StringIO())
    asked = Asked(space.dataset, 600.0, tmp_path / "out", recipe=FEW, size=2)
    with pytest.raises(ConfigError, match="--size 2 fine-tunes a pretrained network, and none is among the models"):
        choose(asked, page)


@pretrained
@pytest.mark.slow
def test_choice_among_several_networks(tmp_path):
    name = pictures(tmp_path / "pictures").replace("size=8", "size=32")
    page = Console(file=io.StringIO(), width=10_000)
    asked = Asked(name, 600.0, tmp_path / "out", models=MODELS, settings={"width": 8}, recipe=FEW, size=2)
    done = choose(asked, page)
    assert "3 candidates (1 learning rate of each of 1 way to train, and of 1 way to fine-tune" in page.file.getvalue()
    with Store(str(asked.output / "store.sqlite")) as store:
        configs = [record["config"] for record in store.records()]
    assert {(config["model"], config.get("tuning", "full")) for config in configs} == {
        *(("cnn", "full"), (PACKAGE_FITS, "frozen"), (PACKAGE_FITS, "full"))
    }
    assert done.about.choice["model"] in MODELS
    loaded = load(asked.output)
    inputs = DATASETS[name].factory().domains[0].inputs[:4]
    with torch.no_grad():
        assert loaded.model(inputs).shape == (4, 2)
    assert {path.name for path in (asked.output / "rungs").iterdir()} >= {"rung-1.jsonl", "rung-1-model-2.jsonl"}


@pretrained
@pytest.mark.slow
def test_fine_tuned_network_is_kept_whole(tmp_path):
    import timm

    space = space_of_pictures(tmp_path / "pictures", FEW.sizes[1])
    trained = train_all(last_training(space, Candidate(2, "erm-ema", 0), 0, 1, {}), None)
    save(tmp_path, trained.about, trained.model, trained.seen.tensors())
    loaded = load(tmp_path)
    start = train_all(last_training(space, Candidate(1, "erm", 0), 0, 1, {}), None).model.network.state_dict()
    found = loaded.model.network.state_dict()
    backbone = {name: value for name, value in found.items() if name.startswith("backbone.")}
    still = {name for name, value in backbone.items() if torch.equal(value, start[name])}
    assert still == {name for name in backbone if "running_" in name or "num_batches" in name}
    # The same network, built by timm alone, on inputs that are scaled by hand.
    net = timm.create_model("tf_efficientnet_lite0", num_classes=0).eval()
    net.load_state_dict({name.removeprefix("backbone."): value for name, value in backbone.items()})
    x = trained.inputs
    mean, std = (torch.tensor(net.pretrained_cfg[key])[:, None, None] for key in ("mean", "std"))
    with torch.no_grad():
        expected = net((x - mean) / std) @ found["head.1.weight"].T + found["head.1.bias"]
        torch.testing.assert_close(loaded.model(x), expected)
