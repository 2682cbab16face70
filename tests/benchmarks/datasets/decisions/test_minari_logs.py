"""Data sets of Minari by their path: refused where the package is not, read where it is."""

import shutil

import numpy as np
import pytest
import torch

from benchmarks.base.values import BINS
from benchmarks.datasets import DATASETS
from benchmarks.datasets.decisions import minari_logs
from benchmarks.datasets.decisions.minari_logs import installed
from benchmarks.datasets.decisions.steps import DONE, RETURN, TEACHER
from benchmarks.datasets.lookup import _entry, identity

needs_minari = pytest.mark.skipif(not installed(), reason="needs minari: pip install 'pgrad[minari]'")


def metadata(folder):
    (folder / "data").mkdir(parents=True)
    (folder / "data/metadata.json").write_text("{}")


def test_without_minari_it_is_refused(tmp_path, said):
    if installed():
        pytest.skip("minari is here")
    metadata(tmp_path / "toy/one-v0")
    metadata(tmp_path / "toy/two-v0")
    with pytest.raises(ValueError, match=r"need minari, which is missing .* pip install 'pgrad\[minari\]'"):
        DATASETS[f"decisions:{tmp_path}"]
    status, _, err = said("data", f"decisions:{tmp_path}")
    assert status == 1
    assert "pip install 'pgrad[minari]' installs it" in err


def test_folders_without_data_sets(tmp_path):
    with pytest.raises(ValueError, match="is a folder without what is read from one"):
        DATASETS[f"decisions:{tmp_path}"]
    metadata(tmp_path / "one-v0")
    with pytest.raises(ValueError, match=r"\['one-v0'\]; there must be at least two"):
        DATASETS[f"decisions:{tmp_path / 'one-v0'}"]
    with pytest.raises(ValueError, match=r"has the domains \['one-v0'\]"):
        DATASETS[f"decisions:{tmp_path}?limit=3"]


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes a data set with Minari itself."""
    import minari
    from gymnasium import spaces
    from minari.data_collector import EpisodeBuffer

    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "root"))

    def call(name, actions=None, seen=None, number=5, reward=1.0, each=lambda t: np.full(3, t, dtype=np.float32)):
        actions = actions or spaces.Discrete(4, start=2)
        seen = seen or spaces.Box(-100, 100, (3,), np.float32)
        buffers = []
        for episode in range(number):
            steps = 2 + episode
            buffers.append(
                EpisodeBuffer(
                    id=episode,
                    observations=_together([each(t) for t in range(steps + 1)]),
                    actions=[actions.sample() * 0 + (2 + t % 4 if isinstance(actions, spaces.Discrete) else 0)
                             for t in range(steps)],
                    rewards=[reward] * steps,
                    terminations=[False] * (steps - 1) + [True],
                    truncations=[False] * steps,
                )
            )  # fmt: skip
        minari.create_dataset_from_buffers(name, buffers, action_space=actions, observation_space=seen)
        return tmp_path / "root"

    return call


def _together(observations):
    if isinstance(observations[0], dict):
        return {key: _together([one[key] for one in observations]) for key in observations[0]}
    return observations


needs_its_warnings = pytest.mark.filterwarnings("ignore")  # of how a data set is written: who made it is not said


@needs_minari
@needs_its_warnings
def test_what_was_written_is_read(write):
    write("toy/one-v0")
    root = write("toy/two-v0", number=7)
    entry = DATASETS[f"decisions:{root}?window=4&discount=0.5&learn=done"]
    data = entry.factory()
    assert data.names == ("toy/one-v0", "toy/two-v0")
    assert data.n_outputs == 4 + BINS
    assert data.input_shape == (4, 3 + 4, 1)
    domain = data.domains[1]
    assert len(domain.groups.unique()) == 7
    first = torch.nonzero(domain.labels[..., DONE].eq(3).any(1)).flatten()[
        0
    ]  # steps 0..3 of an episode of four or more
    assert domain.labels[first, :, DONE].tolist() == domain.labels[first, :, TEACHER].tolist() == [0, 1, 2, 3]
    assert domain.inputs[first, :, :3, 0].tolist() == [[float(t)] * 3 for t in range(4)]
    short = domain.labels[0]  # an episode of two steps
    assert short[:, RETURN].tolist() == [1.5, 1.0, 0.0, 0.0]
    assert len(DATASETS[f"decisions:{root}?limit=2"].factory().domains[1]) == 2
    assert identity(f"decisions:{root}") != identity(f"decisions:{root}?limit=2")


@needs_minari
@needs_its_warnings
def test_other_spaces(write):
    from gymnasium import spaces

    seen = spaces.Dict({"place": spaces.Discrete(5), "speed": spaces.Box(-1, 1, (2, 2), np.float32)})

    def each(t):
        return {"place": np.int64(t % 5), "speed": np.full((2, 2), 0.5, np.float32)}

    write("one-v0", seen=seen, each=each)
    root = write("two-v0", seen=seen, each=each)
    domain = DATASETS[f"decisions:{root}"].factory().domains[0]
    assert domain.inputs[0, 1, :9, 0].tolist() == [0, 1, 0, 0, 0, 0.5, 0.5, 0.5, 0.5]


@needs_minari
@needs_its_warnings
def test_what_cannot_be_learned_from(write):
    from gymnasium import spaces

    write("a-v0")
    root = write("b-v0", actions=spaces.Box(-1, 1, (2,), np.float32))
    with pytest.raises(ValueError, match="actions of b-v0 must be discrete, got Box"):
        DATASETS[f"decisions:{root}"]
    for change, message in (
        ({"actions": spaces.Discrete(6)}, "6 actions and observations of 3 numbers, a-v0 has 4 and 3"),
        ({"reward": float("nan")}, "episode 0: rewards and observations must be finite"),
    ):
        shutil.rmtree(root / "b-v0")
        write("b-v0", **change)
        with pytest.raises(ValueError, match=message):
            minari_logs.entry(str(root))
    (root / "b-v0/data/main_data.hdf5").write_bytes(b"x")
    _entry.cache_clear()
    with pytest.raises(ValueError, match=r"b-v0.*OSError"):
        DATASETS[f"decisions:{root}"]
    for strange in ("[]", "3", '{"a": 1}'):
        (root / "b-v0/data/metadata.json").write_text(strange)
        _entry.cache_clear()
        with pytest.raises(ValueError, match="b-v0: "):
            DATASETS[f"decisions:{root}"]
