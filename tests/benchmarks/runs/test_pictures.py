"""Runs on folders of pictures: what is fitted, which model, and whether something is learnt."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from benchmarks.datasets import DATASETS, cache
from benchmarks.models.default import is_installed
from benchmarks.runs.fits import fit_of
from benchmarks.runs.protocol import fitted, leave_out
from benchmarks.sweeps.config import SweepConfig
from benchmarks.sweeps.coordinator import perform
from benchmarks.sweeps.files import validated
from benchmarks.sweeps.store import Store
from tests.benchmarks.datasets.trees import grey, tree

SHAPES = ("circle", "cross", "square", "stripes")


def drawing(seed, path):
    """A dark drawing on light paper of a domain's own tint, where the place and the size vary."""
    generator = np.random.default_rng(seed)
    tint = {"a": (250, 240, 220), "b": (220, 240, 250), "c": (235, 235, 235)}[path.parts[-3]]
    image = Image.new("RGB", (48, 48), tint)
    draw = ImageDraw.Draw(image)
    x, y, r = (*generator.integers(16, 32, 2).tolist(), int(generator.integers(8, 14)))
    ink = tuple(int(value) - 60 for value in tint)
    if path.parts[-2] == "circle":
        draw.ellipse((x - r, y - r, x + r, y + r), outline=ink, width=3)
    elif path.parts[-2] == "cross":
        draw.line((x - r, y - r, x + r, y + r), fill=ink, width=3)
        draw.line((x - r, y + r, x + r, y - r), fill=ink, width=3)
    elif path.parts[-2] == "square":
        draw.rectangle((x - r, y - r, x + r, y + r), fill=ink)
    else:
        for line in range(y - r, y + r, 5):
            draw.line((x - r, line, x + r, line), fill=ink, width=2)
    image.save(path)


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "cache"))


@pytest.fixture
def drawings(tmp_path):
    return tree(tmp_path / "drawings", drawing, classes=SHAPES, number=30)


def test_pictures_are_standardised_by_the_training_parts_alone(tmp_path):
    root = tree(tmp_path / "mine", grey, number=10)
    for file in (root / "c").glob("*/*.png"):  # a held-out domain of another brightness
        Image.open(file).point(lambda value: value // 4).save(file)
    name = f"folder:{root}?size=8"
    data = DATASETS[name].factory()
    split = fitted(leave_out(data, ["c"], 0), fit_of(name, "cnn"))
    torch.testing.assert_close(split.inputs.mean(dim=(0, 2, 3)), torch.zeros(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(split.inputs.std(dim=(0, 2, 3), correction=0), torch.ones(3), atol=1e-4, rtol=0)
    assert split.held_out[0].inputs.mean() < -1.0


def test_a_network_with_constants_of_its_own_gets_pictures_in_0_1(tmp_path):
    name = f"folder:{tree(tmp_path / 'mine', grey)}?size=8"
    assert fit_of(name, "cnn") is fit_of(name, "mlp") is DATASETS[name].fit is not None
    assert fit_of(name, "timm:tf_efficientnet_lite0") is None


def test_the_default_model_depends_on_the_size(tmp_path):
    root = tree(tmp_path / "mine", grey)
    models = {}
    for size in (32, 64):
        sweep = SweepConfig(datasets=f"folder:{root}?size={size}", algorithms=("erm",))
        models[size] = sweep.runs()[0].model
        assert SweepConfig.model_validate_json(sweep.model_dump_json()).runs() == sweep.runs()
    assert models == {32: "cnn", 64: "timm:tf_efficientnet_lite0" if is_installed() else "cnn"}


@pytest.mark.slow
@pytest.mark.parametrize("size", [32, 64])
def test_drawings_are_learnt_with_the_defaults(drawings, tmp_path, size):
    """30 drawings of a class and domain: without standardisation the small CNN stayed at chance."""
    settings = {"rollouts": 50, "evaluate_every": 10, "batch_size": 16, "splits": 1}
    content = {"datasets": [f"folder:{drawings}?size={size}"], "algorithms": ["erm"], "seeds": 1, "settings": settings}
    sweep = validated({**content, "launcher": "in-process"})
    with Store(str(tmp_path / "store.sqlite")) as store:
        records = perform(sweep, store, tmp_path / "runs")
    assert [record["status"] for record in records] == ["finished"] * 3
    assert min(record["selection"]["validation"] for record in records) > 0.6
