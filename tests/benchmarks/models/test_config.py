"""Models in configurations: what is known, what goes together, what a run is called."""

import pytest
import torch

from benchmarks.commands.options import sweep_from
from benchmarks.models.weights import PACKAGE, digest
from benchmarks.runs.config import RunConfig, Settings
from benchmarks.sweeps.config import Overrides
from benchmarks.sweeps.files import ConfigError, validated

RUN = RunConfig(dataset="d", algorithm="a", held_out="x+y", seed=1, point=2, hparams={"lr": 0.1, "k": 4})
OTHERS = {"depth": 2, "weights": "timm", "tuning": "last-1", "batch_norm": "frozen", "image_size": 64}
FIRST = {"dataset", "algorithm", "held_out", "seed", "point", "hparams"}
SETTINGS = {"model", "rollouts", "evaluate_every", "batch_size", "splits", "width"}


def sweep(settings=None, **more):
    return validated(
        {"datasets": "coloured-digits", "algorithms": ["erm", "pgrad"], "settings": settings or {}, **more}
    )


def test_a_run_that_says_nothing_new_is_the_run_of_before():
    assert set(RUN.config()) == FIRST | SETTINGS
    assert RUN.key() == "21733be807c2a07f"


def test_what_is_said_is_part_of_a_run():
    keys = {RUN.key()}
    for name, value in OTHERS.items():
        other = RunConfig.model_validate({**RUN.config(), name: value})
        assert other.config()[name] == value
        assert set(other.config()) == FIRST | SETTINGS | {name}
        assert RunConfig.model_validate(other.config()) == other
        keys.add(other.key())
    assert len(keys) == 1 + len(OTHERS)


def test_a_data_set_has_settings_of_its_own():
    own = {"model": "timm:tf_efficientnet_lite0", "weights": PACKAGE, "tuning": "frozen", "image_size": 64, "depth": 1}
    runs = sweep(datasets={"rotated-digits": own, "coloured-digits": {"model": "cnn"}}).runs()
    assert {run.model for run in runs if run.dataset == "coloured-digits"} == {"cnn"}
    for run in runs:
        if run.dataset == "rotated-digits":
            assert {name: getattr(run, name) for name in own} == own
    # The quick comparison hands all settings on like this.
    assert Overrides(**Settings().model_dump()).settings(sweep().settings) == sweep().settings


def test_learning_rates_are_scaled_unless_they_are_fixed():
    plain = sweep(points=3).runs()
    scaled = sweep({"lr_scale": 0.01}, points=3, fixed={"pgrad": {"lr": 0.5}}).runs()
    for one, other in zip(plain, scaled, strict=True):
        expected = 0.5 if one.algorithm == "pgrad" else 0.01 * one.hparams["lr"]
        assert dict(other.hparams) == {**one.hparams, "lr": expected}
        assert set(other.config()) == set(one.config())


def test_a_file_of_weights_is_known_by_its_content(tmp_path):
    path = tmp_path / "net.pth"
    torch.save(torch.nn.Linear(1, 1).state_dict(), path)
    settings = {"model": "timm:test_vit", "weights": str(path)}
    first = sweep(settings)
    assert {run.weights for run in first.runs()} == {f"{path}#{digest(path)}"}
    assert type(first).model_validate_json(first.model_dump_json()) == first
    torch.save(torch.nn.Linear(1, 2).state_dict(), path)
    assert sweep(settings).key() != first.key()
    with pytest.raises(ConfigError, match=r"settings\.weights: .* has changed"):
        sweep(first.settings.model_dump())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("{model: timm:resnet81}", "line 2: settings.model: 'resnet81' is not known to timm"),
        ("{model: resnet18}", "line 2: settings.model: 'resnet18' is not known."),
        ("{weights: imagenet}", "line 2: settings.weights: 'imagenet' is not known."),
        ("{weights: nowhere.pth}", "line 2: settings.weights: there is no file nowhere.pth"),
        ("{tuning: frosen}", "line 2: settings.tuning: must be 'full', 'frozen', or 'last-K'"),
        ("{tuning: last-0}", "settings.tuning: must be 'full', 'frozen', or 'last-K'"),
        (
            "{batch_norm: trian}",
            "line 2: settings.batch_norm: must be 'train', 'frozen-statistics' or 'frozen'",
        ),
        ("{batchnorm: train}", "line 2: settings.batchnorm: 'batchnorm' is not known. Did you mean 'batch_norm'?"),
        ("{depth: -1}", "line 2: settings.depth: must be at least 0"),
        ("{lr_scale: 0}", "line 2: settings.lr_scale: must be greater than 0"),
        ("{model: cnn, depth: 2}", "coloured-digits: depth: model 'cnn' has a depth of its own, got 2"),
        ("{tuning: frozen}", "coloured-digits: tuning: 'frozen' is for networks of timm"),
        ("{model: timm:resnet18}", "coloured-digits: batch_norm: timm:resnet18 has BatchNorm in what is trained"),
        ("{model: timm:test_vit, tuning: last-2}", "coloured-digits: tuning: 'last-2' keeps weights"),
        ("{model: timm:test_vit, tuning: last-9, weights: timm}", "tuning: timm:test_vit has 7 stages"),
    ],
)
def test_errors_point_at_the_wrong_word(settings, message, tmp_path):
    path = tmp_path / "sweep.yaml"
    path.write_text(f"datasets: coloured-digits\nsettings: {settings}\n")
    with pytest.raises(ConfigError) as raised:
        sweep_from(path, None)
    assert message in str(raised.value)
