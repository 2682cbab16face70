"""A user's own logs: both formats, and what is wrong with them said by line."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

from benchmarks.base.values import BINS
from benchmarks.datasets import DATASETS
from benchmarks.datasets.decisions.logged import Scale
from benchmarks.datasets.decisions.steps import RETURN
from benchmarks.datasets.lookup import _entry, identity
from benchmarks.reports.contact_sheet import draw
from tests.benchmarks.datasets.decisions.worlds import episodes


def rows(number=12):
    found = []
    for count, episode in enumerate(episodes(number=number)):
        for t, step in enumerate(episode.steps):
            found.append(
                {
                    "domain": episode.domain,
                    "episode": count,
                    "step": 3 * t,
                    "features": (10 * step.view.context + 5).tolist(),
                    "options": [[option, 0.5] for option in range(3)],
                    "legal": step.view.legal.tolist(),
                    "done": step.done,
                    "teacher": step.teacher,
                    "reward": step.reward,
                }
            )
    return found


def lines(path, content):
    path.write_text("\n".join(json.dumps(row) for row in content))
    _entry.cache_clear()
    return f"decisions:{path}"


def test_both_formats_hold_the_same(tmp_path):
    content = rows()
    one = DATASETS[lines(tmp_path / "log.jsonl", content)]
    pd.DataFrame(content).to_parquet(tmp_path / "log.parquet")
    other = DATASETS[f"decisions:{tmp_path / 'log.parquet'}"]
    data = one.factory()
    assert data.digest() == other.factory().digest()
    assert one.domains == data.names == ("a", "b", "c")
    assert data.n_outputs == 3 + BINS
    assert data.input_shape == (32, 5 + 3, 3)  # 14 features in rows of three, then three options
    assert sum(int((domain.labels[..., 0] >= 0).sum()) for domain in data.domains) == len(content)
    shuffled = [content[place] for place in np.random.default_rng(0).permutation(len(content))]
    assert len(DATASETS[lines(tmp_path / "other.jsonl", shuffled)].factory().domains[0]) == len(data.domains[0])


def test_options_of_the_name(tmp_path):
    name = lines(tmp_path / "log.jsonl", rows())
    plain, scaled = DATASETS[name], DATASETS[f"{name}?units=different&loss=filtered&learn=done&window=4&discount=0.5"]
    assert scaled.loss.__name__ == "filtered of done, two-hot critic"
    assert "value error" in scaled.measures
    assert "value error" not in plain.measures
    assert scaled.factory().input_shape[0] == 4
    unscaled = DATASETS[f"{name}?window=4&discount=0.5"].factory()
    for domain, other, unit in zip(scaled.factory().domains, unscaled.domains, (1, 10, 100), strict=True):
        assert torch.allclose(domain.labels[..., RETURN], unit * other.labels[..., RETURN])
    assert identity(name) != identity(f"{name}?window=4")


def test_without_a_teacher_and_without_features_of_options(tmp_path):
    content = [{key: value for key, value in row.items() if key not in ("teacher", "legal")} for row in rows()]
    content = [{**row, "options": 3, "group": row["episode"] // 2} for row in content]
    data = DATASETS[lines(tmp_path / "log.jsonl", content)].factory()
    assert data.input_shape == (32, 14 + 3, 1)
    for domain in data.domains:
        assert torch.equal(domain.labels[..., 0], domain.labels[..., 1])
        assert len(domain.groups.unique()) == 6


def test_features_are_standardised_and_masks_stay(tmp_path):
    data = DATASETS[lines(tmp_path / "log.jsonl", rows())].factory()
    inputs, labels = data.domains[0].inputs, data.domains[0].labels
    done = Scale(3)(inputs, labels)(inputs)
    there = labels[..., 0] >= 0
    context = done[there][:, :5].flatten(1)[:, :14]
    assert torch.allclose(context.mean(0), torch.zeros(14), atol=1e-5)
    spread = context.std(0, correction=0)
    assert ((spread - 1).abs() < 1e-3).logical_or(spread < 1e-6).all()
    assert torch.equal(done[:, :, 5:, 0], inputs[:, :, 5:, 0])
    assert (done[~there] == 0).all()


WRONG = {
    "no option is legal": {"legal": [False, False, False]},
    r"done must be one of the legal options \[0, 2\], got 1": {"legal": [True, False, True], "done": 1, "teacher": 0},
    "teacher must be one of the legal options": {"teacher": 3},
    "reward must be a number, all finite in 32 bits; got inf": {"reward": float("inf")},
    "reward must be a number, all finite in 32 bits; got 1e[+]39": {"reward": 1e39},
    "reward must be a number, all finite in 32 bits; got '0.5'": {"reward": "0.5"},
    "reward must be a number, all finite in 32 bits; got 1000": {"reward": 10**400},
    "features must be a list of numbers, all finite in 32 bits; got .1e[+]300": {"features": [1e300] * 14},
    "features must be as many as on line 1, 14 numbers; got 2": {"features": [1.0, 2.0]},
    "options must be as many as on line 1, 2 numbers for each option; got 1": {"options": [[1.0], [2.0], [3.0]]},
    "options must be at most 4096, got 1000000000": {"options": 10**9},
    "features must be a list of numbers, all finite": {"features": [1.0, "x"]},
    "options must be a list of lists of numbers of one length": {"options": [[1], [1, 2]]},
    "options must be at least one": {"options": 0},
    "legal has 2 words for 3 options": {"legal": [True, True]},
    "legal must be a list of true and false": {"legal": [1, 0, 1]},
    "done must be a whole number, got 0.5": {"done": 0.5},
    "reward missing; a step has domain": {"reward": None},
    "colour not known": {"colour": 3},
    "domain must be a word or a number, got ' '": {"domain": " "},
    "episode must be a word or a number, got": {"episode": [1]},
    "domain must be a word or a number, got 'nan'": {"domain": float("nan")},
    "episode must be a word or a number, got 'nan'": {"episode": float("nan")},
    "group must be a word or a number, got 'inf'": {"group": float("inf")},
    "teacher is missing, and other steps have it": {"teacher": None},
}


@pytest.mark.parametrize("message", WRONG)
def test_a_broken_line_is_named(tmp_path, message):
    content = rows(3)
    content[4] |= WRONG[message]
    with pytest.raises(ValueError, match=rf"log\.jsonl: line 5: .*{message}"):
        DATASETS[lines(tmp_path / "log.jsonl", content)]


def test_files_as_others_write_them(tmp_path):
    """A mark at the beginning, a sign inside a word that parts lines elsewhere, an ending in capitals."""
    content = [{**row, "group": f"{row['episode']}\u2028"} for row in rows()]
    plain = DATASETS[lines(tmp_path / "plain.jsonl", rows())].factory()
    text = "\r\n".join(json.dumps(row, ensure_ascii=False) for row in content)
    (tmp_path / "marked.jsonl").write_bytes(b"\xef\xbb\xbf" + text.encode())
    marked = DATASETS[f"decisions:{tmp_path / 'marked.jsonl'}"].factory()
    assert torch.equal(marked.domains[0].inputs, plain.domains[0].inputs)
    pd.DataFrame(rows()).to_parquet(tmp_path / "log.PARQUET")
    assert DATASETS[f"decisions:{tmp_path / 'log.PARQUET'}"].factory().digest() == plain.digest()
    (tmp_path / "deep.jsonl").write_text("[" * 100_000)
    with pytest.raises(ValueError, match="line 1: no JSON"):
        DATASETS[f"decisions:{tmp_path / 'deep.jsonl'}"]


def test_as_many_options_at_every_step(tmp_path):
    content = [{**row, "options": 3} for row in rows(3)]
    content[4] |= {"options": 4, "legal": [True] * 4}
    with pytest.raises(ValueError, match="line 5: options must be as many as on line 1, 3 in number; say by legal"):
        DATASETS[lines(tmp_path / "log.jsonl", content)]


def test_returns_that_are_not_finite(tmp_path):
    content = [{**row, "reward": 3e38} for row in rows(3)]
    with pytest.raises(
        ValueError, match=r"log\.jsonl: domain 'a', episode '0', step 0: returns must be finite in 32 bits"
    ):
        DATASETS[lines(tmp_path / "log.jsonl", content)]


def test_broken_files(tmp_path):
    content = rows(3)
    for wrong, message in (
        ([*content, content[0]], "line .*: step 0 of episode '0' of domain 'a' comes twice"),
        ([row for row in content if row["domain"] == "a"], "at least two"),
        ([{**row, "domain": row["domain"] + "+"} for row in content], "must not be empty or hold"),
        ([], "holds no step"),
        ([{**row, "group": row["step"]} for row in content], "it must be in one"),
        ([*content[:-1], {**content[-1], "features": [1.0]}], "line .*: features must be as many as on line 1"),
    ):
        with pytest.raises(ValueError, match=message):
            DATASETS[lines(tmp_path / "log.jsonl", wrong)]
    (tmp_path / "log.jsonl").write_text("{")
    with pytest.raises(ValueError, match="line 1: no JSON"):
        DATASETS[f"decisions:{tmp_path / 'log.jsonl'}"]
    (tmp_path / "log.jsonl").write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match="is no text in UTF-8"):
        DATASETS[f"decisions:{tmp_path / 'log.jsonl'}"]
    (tmp_path / "log.parquet").write_text("x")
    with pytest.raises(ValueError, match="no readable Parquet file"):
        DATASETS[f"decisions:{tmp_path / 'log.parquet'}"]
    with pytest.raises(ValueError, match="there is no file"):
        DATASETS["decisions:nowhere.jsonl"]
    name = lines(tmp_path / "good.jsonl", content)
    with pytest.raises(ValueError, match=r"discount must be a number in 0..1, got '2'"):
        DATASETS[f"{name}?discount=2"]
    with pytest.raises(ValueError, match="loss must be given once and be one of bc, filtered; got 'best'"):
        DATASETS[f"{name}?loss=best"]


def test_a_teacher_that_is_nowhere(tmp_path):
    content = [{**row, "teacher": None} for row in rows()]
    for domain in DATASETS[lines(tmp_path / "log.jsonl", content)].factory().domains:
        assert torch.equal(domain.labels[..., 0], domain.labels[..., 1])


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("window=999999999999", "window must be at most 4096 steps, got 999999999999"),
        (
            "loss=filtered&critic=none",
            "loss=filtered needs a critic; leave critic=none out, or name one of two-hot, sq",
        ),
    ],
)
def test_options_that_cannot_be_followed(tmp_path, query, message):
    with pytest.raises(ValueError, match=message):
        DATASETS[f"{lines(tmp_path / 'log.jsonl', rows())}?{query}"]
    assert DATASETS[f"{lines(tmp_path / 'log.jsonl', rows())}?loss=filtered"].loss.critic == "two-hot"


@pytest.mark.parametrize("unit", [1e-30, 1.0, 1e37])
def test_features_of_any_size_are_standardised(tmp_path, unit):
    """As numpy does it in 64 bits; 1e37 squared is beyond 32 bits."""
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=len(rows()))
    content = [{**row, "features": [unit * number, 7.0]} for row, number in zip(rows(), numbers, strict=True)]
    data = DATASETS[lines(tmp_path / "log.jsonl", content)].factory()
    inputs, labels = data.domains[0].inputs, data.domains[0].labels
    seen = Scale(3)(inputs, labels)(inputs)[labels[..., 0] >= 0][:, 0]
    own = numbers[[row["domain"] == "a" for row in content]]
    assert np.allclose(seen[:, 0].numpy(), (own - own.mean()) / own.std(), atol=1e-5)
    assert (seen[:, 1] == 0).all()
    far = inputs.clone()
    far[..., 0, 1] = 1e30  # what never changes in training is not what a model has learned from
    assert (Scale(3)(inputs, labels)(far)[..., 0, 1] == 0).all()


def test_numbers_that_32_bits_do_not_tell_apart(tmp_path):
    """Seconds since 1970 differ by less than a float32 can say."""
    content = [{**row, "features": [0.5, 1.7e9 + place]} for place, row in enumerate(rows(3))]
    with pytest.raises(ValueError, match=r"features: number 1 of the list.* is 1700000000.0 to .* subtract a constant"):
        DATASETS[lines(tmp_path / "log.jsonl", content)]
    content = [{**row, "features": [0.5, 0.1 + 0.2 if place else 0.3]} for place, row in enumerate(rows(3))]
    assert DATASETS[lines(tmp_path / "log.jsonl", content)].domains == ("a", "b", "c")
    content = [{**row, "options": [[1e9 + o] for o in range(3)]} for row in rows(3)]
    with pytest.raises(ValueError, match=r"options: number 0 of the list"):
        DATASETS[lines(tmp_path / "log.jsonl", content)]


def test_a_log_is_shown(tmp_path):
    name = lines(tmp_path / "log.jsonl", rows())
    entry = DATASETS[name]
    page = entry.shown()["a"].splitlines()
    first = rows()[0]
    assert page[0].split()[:4] == ["step", "done", "teacher", "return"]
    assert page[1].split()[:3] == ["0", str(first["done"]), str(first["teacher"])]
    legal = " ".join(str(place) for place, word in enumerate(first["legal"]) if word)
    assert f"  {legal}; {first['features'][0]:.3g} " in page[1]
    assert len(page) == 1 + sum(row["domain"] == "a" and row["episode"] == 0 for row in rows())
    assert draw(name, entry, entry.factory(), tmp_path / "pictures").stat().st_size > 0
