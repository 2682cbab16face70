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
@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        (["--held-out", "33°"], "--held-out: '33°' is not known"),
        (["--model", "nope"], "--model nope: 'nope' is not known"),
        (["--seeds", "1", "--rollouts", "4", "--looks", "3"], "for an interval, got 1: take more --rollouts"),
        (["--eigenpairs", "999999"], "eigenpairs must be below the number of parameters that are trained, 610"),
        (["--lr", "1e30", "--inner", "sgd"], "--inner sgd, seed 0: "),
    ],
)
def test_what_cannot_be_done_is_refused_in_words(tmp_path, capsys, words, wrong):
    with pytest.raises(SystemExit) as done:
        app(["analyse", "rotated-digits", "--width", "8", "--output", str(tmp_path), *words])
    assert done.value.code == 2
    assert wrong in capsys.readouterr().err


@pytest.mark.slow
def test_looks_are_as_many_as_were_asked_for_and_the_last_is_at_the_end(tmp_path):
    words = ["--inner", "sgd", "--seeds", "1", "--rollouts", "11", "--looks", "4", "--width", "8", "--eigenpairs", "3"]
    with pytest.raises(SystemExit):
        app(["analyse", "rotated-digits", *words, "--output", str(tmp_path)])
    looks = [json.loads(line) for line in (tmp_path / "looks.jsonl").read_text().splitlines()]
    assert [look["inner_steps"] // 15 for look in looks] == [2, 5, 8, 11]


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
