"""The study of directions against curvature: a small run from the command to its table and pictures."""

import json

import pytest

from benchmarks.__main__ import app


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    folder = tmp_path_factory.mktemp("analyse")
    words = ["rotated-digits", "--inner", "sgd", "adam-beta1-0", "--seeds", "1", "--rollouts", "4", "--looks", "2"]
    words += ["--width", "8", "--eigenpairs", "3", "--output", str(folder)]
    with pytest.raises(SystemExit) as done:
        app(["analyse", *words])
    assert done.value.code in (0, None)
    return folder


@pytest.mark.slow
def test_every_look_is_a_row_of_shares_between_zero_and_one(output):
    looks = [json.loads(line) for line in (output / "looks.jsonl").read_text().splitlines()]
    assert [(look["inner"], look["inner_steps"]) for look in looks] == [
        ("sgd", 30),
        ("sgd", 60),
        ("adam-beta1-0", 30),
        ("adam-beta1-0", 60),
    ]
    for look in looks:
        assert look["top"] == sorted(look["top"], reverse=True)
        assert len(look["top"]) == 3
        assert set(look["shares"]) == {"component 1", "components 2 to 4", "displacement", "first step"}
        for shares in look["shares"].values():
            assert len(shares) == (2 if look["inner_steps"] == 30 else 4)  # all roll-outs so far
            assert all(0 <= share <= 1 for share in shares)
        assert look["nulls"]["random"][0] == pytest.approx(3 / look["size"])
        assert (look["bend"] is None) == (look["inner"] != "sgd")


@pytest.mark.slow
def test_the_table_has_a_row_for_each_optimizer_and_time(output):
    lines = (output / "table.md").read_text().splitlines()
    assert len(lines) == 2 + 4
    assert "null: walk" in lines[0]
    assert {path.name for path in output.glob("*.png")} == {"overlap-sgd.png", "overlap-adam-beta1-0.png"}
