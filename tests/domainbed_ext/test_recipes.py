import argparse
import json

import pytest
from torchvision.datasets import ImageFolder

from domainbed_ext import miniature, recipes
from domainbed_ext.errors import Refusal
from domainbed_ext.hparams import COMMON, ROLLOUT


def test_there_is_one_for_each_image_set_of_the_paper():
    loaded = [recipes.load(name) for name in recipes.names()]
    found = {recipe.sweep["datasets"][0] for recipe in loaded}
    assert found == {"VLCS", "PACS", "OfficeHome", "TerraIncognita", "DomainNet"}
    assert found == set(miniature.LAYOUTS)


@pytest.mark.parametrize("name", recipes.names())
def test_expected_figures_follow_from_their_formulas(name):
    recipe = recipes.load(name)
    jobs = recipe.data["domains"] * recipe.sweep["n_trials"] * recipe.sweep["n_hparams"]
    assert recipe.expected == {"jobs_per_algorithm": jobs, **recipes.estimate(recipe)}


def test_the_estimate_of_pacs_by_hand():
    # 96 images an update, 5001 updates, 18 evaluations of 9991 images; 13 x 23.5 M floats and 11 images' activations.
    expected = recipes.load("pacs").expected
    assert expected["operations"] == pytest.approx(96 * 5001 * 24.3e9 + 18 * 9991 * 8.18e9, rel=0.05)
    assert expected["memory_gib"] == pytest.approx((13 * 23.52e6 * 4 + 11 * 82 * 2**20) / 2**30, rel=0.05)


@pytest.mark.parametrize("name", recipes.names())
def test_the_arguments_are_those_of_a_sweep_and_hold_the_released_settings(name):
    parser = argparse.ArgumentParser()
    parser.add_argument("--datasets", nargs="+")
    parser.add_argument("--algorithms", nargs="+")
    for number in ("--steps", "--n_hparams", "--n_trials"):
        parser.add_argument(number, type=int)
    parser.add_argument("--holdout_fraction", type=float)
    parser.add_argument("--single_test_envs", action="store_true")
    parser.add_argument("--hparams", type=json.loads)
    args = parser.parse_args(recipes.load(name).arguments())
    assert set(args.algorithms) == {"ERM", *ROLLOUT}
    assert (args.steps, args.n_trials, args.holdout_fraction, args.single_test_envs) == (5001, 3, 0.2, True)
    released = {"lr": 5e-5, "batch_size": 32, "freeze_bn": True, "resnet50_augmix": False, "resnet18": False}
    released |= {h.name: h.default for h in (*COMMON, *(h for group in ROLLOUT.values() for h in group))}
    assert {key: args.hparams[key] for key in released} == released


def test_an_unknown_recipe_and_a_broken_file_are_refused(tmp_path):
    with pytest.raises(Refusal, match=r"no recipe pasc \(did you mean pacs\?\)"):
        recipes.load("pasc")
    broken = tmp_path / "mine.toml"
    broken.write_text("[sweep]\nsteps = ")
    with pytest.raises(Refusal, match="is not a recipe"):
        recipes.load(str(broken))


def test_a_miniature_has_the_layout_and_overwrites_nothing(tmp_path):
    folder = miniature.write(tmp_path, "OfficeHome", images=2)
    assert folder == tmp_path / "office_home"
    assert sorted(path.name for path in folder.iterdir()) == ["Art", "Clipart", "Product", "Real World"]
    for domain in folder.iterdir():
        data = ImageFolder(domain)
        assert (len(data), len(data.classes), data[0][0].size) == (6, 3, (16, 16))
    with pytest.raises(Refusal, match="exists"):
        miniature.write(tmp_path, "OfficeHome")
