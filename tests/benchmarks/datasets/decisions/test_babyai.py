"""Grid worlds in several attempts: a recording for every machine, and the levels themselves where minigrid is."""

import numpy as np
import pytest
import torch

from benchmarks.base.values import BINS
from benchmarks.datasets import DATASETS
from benchmarks.datasets.decisions import babyai, babyai_game
from benchmarks.datasets.decisions.babyai_game import (
    ACTIONS,
    CAP,
    KINDS,
    LEVELS,
    TILE,
    WORDS,
    cells_of,
    installed,
    said_as,
    words_of,
)
from benchmarks.datasets.decisions.drawing import BESIDE
from benchmarks.datasets.decisions.games import LostError, Pictured, as_teacher, at_random
from benchmarks.datasets.decisions.steps import DONE, RETURN, TEACHER
from tests.benchmarks.datasets.decisions.gaps import inside_and_outside
from tests.benchmarks.datasets.decisions.record import load_babyai

ORDERED = {"log": "mixed", "attempts": "ordered"}
needs_minigrid = pytest.mark.skipif(not installed(), reason="needs minigrid: pip install 'pgrad[babyai]'")
CELL = len(KINDS) + 6 + 3


def test_words_of_a_mission():
    found = words_of("put the red ball next to the blue box").reshape(2, -1)
    first = {WORDS[place] for place in np.flatnonzero(found[0])}
    second = {WORDS[place] for place in np.flatnonzero(found[1])}
    assert first == {"put", "the", "red", "ball"}
    assert second == {"next", "to", "the", "blue", "box"}
    with pytest.raises(ValueError, match="has the word 'elephant'"):
        words_of("go to the elephant")


def test_cells_by_hand():
    image = np.zeros((7, 7, 3), dtype=np.uint8)
    image[0, 1] = (4, 2, 2)  # a locked blue door
    image[0, 2] = (6, 5, 0)  # a grey ball
    image[0, 3] = (2, 5, 0)  # a wall, whose colour says nothing
    cells = cells_of(image).reshape(49, CELL)
    assert cells[0].sum() == 0
    assert np.flatnonzero(cells[1]).tolist() == [KINDS.index(4), len(KINDS) + 2, len(KINDS) + 6 + 2]
    assert np.flatnonzero(cells[2]).tolist() == [KINDS.index(6), len(KINDS) + 5]
    assert np.flatnonzero(cells[3]).tolist() == [KINDS.index(2)]


def test_the_recording():
    data = load_babyai()
    assert data.names == tuple(LEVELS)
    assert data.n_outputs == len(ACTIONS) + BINS
    assert data.input_shape == (babyai.LENGTH, 4 + 6 + 4 + 2 * len(WORDS) + 49 * CELL + len(ACTIONS), 1)
    for domain in data.domains:
        there = domain.labels[..., DONE] >= 0
        assert domain.inputs.dtype == torch.uint8
        assert set(domain.inputs.unique().tolist()) == {0, 1}
        assert set(domain.labels[..., RETURN][there].tolist()) <= {0.0, 1.0}
        attempt = domain.inputs[..., 10:13, 0].float().argmax(-1)
        for number, share in enumerate((0.6, 0.3, 0.0)):
            own = domain.labels[there & (attempt == number)]
            agreed = (own[:, DONE] == own[:, TEACHER]).double().mean()
            # A random action is the bot's own one time in six.
            assert float(agreed) == pytest.approx(1 - share * 5 / 6, abs=0.15)
        last = domain.labels[there & (attempt == 2)]
        assert float(last[:, RETURN].mean()) == 1.0 or domain.name in ("unlock", "open-two")


def test_the_recording_in_pictures():
    data, codes = load_babyai("babyai-pixels.npz"), load_babyai()
    side, row = 56, 168
    assert data.input_shape == (babyai.PIXEL_LENGTH, 1 + side + len(ACTIONS), row)
    assert data.n_outputs == len(ACTIONS) + BINS
    said = said_as(row - 1)
    for domain, other in zip(data.domains, codes.domains, strict=True):
        there, known = domain.labels[..., DONE] >= 0, other.labels[..., DONE] >= 0
        assert torch.equal(domain.labels[there], other.labels[known])  # the same games, whatever is seen of them
        steps, same = domain.inputs[there], other.inputs[known][..., 0]
        shared = 4 + len(ACTIONS) + 4 + 2 * len(WORDS)
        assert torch.equal(steps[:, 0, :shared], same[:, :shared])
        assert (steps[:, 0, shared:] == 0).all()
        assert torch.equal(
            steps[:, -len(ACTIONS) :, 1:], torch.from_numpy(said).to(torch.uint8).expand(len(steps), -1, -1)
        )
        shown = steps[:, 1 : 1 + side].unflatten(-1, (side, 3))
        # The player stands in the middle of the lowest row, in red.
        assert (shown[:, 49:, 24:32, 0].float().amax((1, 2)) > 150).all()
        # Cells that the codes say are not seen are one colour.
        cells = same[:, shared : shared + 49 * CELL].unflatten(1, (7, 7, CELL))  # by column, as minigrid has them
        hidden = (cells[..., : len(KINDS)].sum(-1) == 0).transpose(1, 2)
        tiles = shown.unflatten(1, (7, 8)).unflatten(3, (7, 8)).permute(0, 1, 3, 2, 4, 5)[hidden].flatten(1)
        assert len(tiles.unique(dim=0)) == 1


def test_actions_in_words():
    words = said_as(20)
    assert words[:, :10].sum(1).tolist() == [2, 2, 2, 2, 1, 1]
    assert words[0] @ words[1] == 1  # turn left, turn right
    assert words[2] @ words[3] == 0


def test_what_is_missing_is_said(monkeypatch):
    if installed():
        pytest.skip("minigrid is here")
    with pytest.raises(ImportError, match=r"pip install 'pgrad\[babyai\]'"):
        babyai.play(ORDERED).game("go-to", 0)
    with pytest.raises(ImportError, match="BabyAI need minigrid, which is missing"):
        DATASETS["babyai"].factory.build()


def test_a_preparation_without_minigrid_leaves_nothing(own_cache, tmp_path, said):
    if installed():
        pytest.skip("minigrid is here")
    status, _, err = said("data", "babyai")
    assert status == 1
    assert "pip install 'pgrad[babyai]' installs it" in err
    assert not list((tmp_path / "cache").glob("*.npz"))
    assert not list((tmp_path / "cache").glob("*.partial"))


@needs_minigrid
@pytest.mark.slow
def test_the_teacher_is_far_above_random_in_every_level():
    for domain in LEVELS:
        values = {"teacher": [], "random": []}
        for seed in range(5):
            for name, policy in (("teacher", as_teacher), ("random", at_random)):
                game = babyai.play(ORDERED).game(domain, seed)
                rng = np.random.default_rng(seed)
                while not game.over:
                    game.act(policy(game, rng))
                values[name].append(game.outcome())
        assert np.mean(values["teacher"]) > 0.75
        assert np.mean(values["teacher"]) > np.mean(values["random"]) + 0.3


@needs_minigrid
@pytest.mark.slow
def test_the_recording_can_be_made_again():
    data = babyai.build(ORDERED, tasks=6).data
    assert data.digest() == load_babyai().digest()


@needs_minigrid
@pytest.mark.slow
def test_the_recording_in_pictures_can_be_made_again():
    data = babyai.build(ORDERED, tasks=6, pixels=True).data
    assert data.digest() == load_babyai("babyai-pixels.npz").digest()


@needs_minigrid
@pytest.mark.slow
@pytest.mark.parametrize("pixels", [False, True])
def test_nothing_that_the_player_cannot_know_is_seen(pixels):
    """Other things outside of the view: the same view, where the teacher may say something else."""
    game = babyai.play(ORDERED, pixels).game("object-or-door", 1)
    rng = np.random.default_rng(0)
    for _ in range(10):
        before = game.view().context
        env = game.env
        _, visible = env.gen_obs_grid()
        for x in range(env.width):
            for y in range(env.height):
                inside = env.relative_coords(x, y)
                if inside is None or not visible[inside]:
                    env.grid.set(x, y, None)
        game.seen = env.gen_obs()
        assert np.array_equal(game.view().context, before)
        game.act(int(rng.integers(3)))


@needs_minigrid
@pytest.mark.slow
def test_pictures_for_people():
    game = babyai.play(ORDERED).game("unlock", 1)
    assert isinstance(game, Pictured)
    before = game.picture()
    game.act(game.teacher())
    after = game.picture()
    assert before.shape == after.shape
    assert (before != after).any()
    pages = babyai.page(ORDERED)
    assert set(pages) == set(LEVELS)
    assert all(page.dtype == np.uint8 and page.shape[1] > 4 * 100 for page in pages.values())


@needs_minigrid
@pytest.mark.slow
def test_what_a_player_of_pictures_is_given_stands_beside_the_grid():
    game, seen = babyai.play(ORDERED, pixels=True).game("unlock", 1), babyai.play(ORDERED).game("unlock", 1)
    given = game.view().context[3 * 56 :].reshape(56, 56, 3)
    wide, narrow = game.picture(), seen.picture()
    right = wide[:168, narrow.shape[1] + BESIDE :][1::3, 1::3]
    assert np.array_equal(right, given)
    grid = seen.env.height * TILE
    assert np.array_equal(wide[:grid, : narrow.shape[1]], narrow[:grid])
    pages = [babyai.page(ORDERED, pixels)["unlock"] for pixels in (False, True)]
    assert pages[0].shape[1] < pages[1].shape[1]


@needs_minigrid
@pytest.mark.slow
def test_orders_of_attempts():
    shuffled = [babyai.practised("go-to", task, ORDERED | {"attempts": "shuffled"})[0] for task in range(3)]
    alone = babyai.practised("go-to", 0, ORDERED | {"attempts": "alone"})
    together = babyai.practised("go-to", 0, ORDERED)
    assert len(alone) == 3
    assert len(together) == len(shuffled[:1]) == 1
    assert sum(len(each.steps) for each in alone) == len(together[0].steps)
    assert len(together[0].ends) == 3
    assert max(len(each.steps) for each in alone) <= CAP


@needs_minigrid
@pytest.mark.slow
def test_a_bot_that_was_not_asked_is_lost():
    game = babyai_game.Level("go-to", 0)
    game.act(0)
    game.act(0)
    with pytest.raises(LostError, match="must be asked at every step"):
        game.teacher()


@pytest.mark.slow
@needs_minigrid
def test_a_mission_that_is_held_out_is_harder():
    """Two of those that ask for what no other mission does; the set is prepared first, once."""
    inside, outside = inside_and_outside("babyai", ("put-next", "unlock"), rollouts=24, lr=3e-3)
    for name, value in outside.items():
        assert value < inside[name] - 0.03
