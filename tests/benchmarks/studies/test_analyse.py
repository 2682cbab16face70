"""The study of directions against curvature: a small run from the command to its table and pictures."""

import itertools
import json
from types import SimpleNamespace

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

import pgrad
from benchmarks.__main__ import app
from benchmarks.base.values import BINS
from benchmarks.datasets.decisions.losses import DecisionLoss
from benchmarks.models.decisions import decisions
from benchmarks.runs.config import RunConfig
from benchmarks.studies.analyse import Curve, Look, curve, smooth, table
from benchmarks.studies.analyse.begin import begin
from benchmarks.studies.analyse.look import look_at
from tests.pgrad.analysis.small import dense_hessian

FIXED = {"dataset": "coloured-digits", "algorithm": "pgrad", "held_out": "10%", "seed": 0, "point": 0, "hparams": {}}


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


def test_a_look_has_the_shares_of_what_it_names():
    """Against dense algebra, on a linear model whose Hessian is 2/n X'X."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(40, 6, generator=generator, dtype=torch.float64)
    model = torch.nn.Linear(6, 1, bias=False).double()
    points = torch.randn(8, 6, generator=generator, dtype=torch.float64).cumsum(0)
    split = SimpleNamespace(inputs=inputs, labels=torch.zeros(40, 1).double())
    found = look_at(model, torch.nn.functional.mse_loss, split, [points], eigenpairs=2, seed=0)
    values, vectors = torch.linalg.eigh(2 / 40 * inputs.T @ inputs)
    top = vectors[:, -2:]
    components = torch.linalg.svd(points - points.mean(0), full_matrices=False).Vh[:4]

    def share(way):
        return float((way @ top).square().sum() / way.square().sum())

    assert found["top"] == pytest.approx(values.flip(0)[:2].tolist())
    assert found["shares"] == {
        "component 1": [pytest.approx(share(components[0]))],
        "components 2 to 4": [pytest.approx(sum(map(share, components[1:])) / 3)],
        "displacement": [pytest.approx(share(points[0] - points[-1]))],
        "first step": [pytest.approx(share(points[0] - points[1]))],
    }


def test_a_look_at_sequences_of_decisions():
    """Windows with padding, attention in the model, a loss over the steps that count: against the dense Hessian."""
    torch.manual_seed(0)
    windows = torch.randn(5, 4, 3, 2)  # 4 steps; a row of context and two options, of which the first column is legal
    windows[:, :, 1:, 0] = 1
    labels = torch.zeros(5, 4, 3)
    labels[..., :2] = torch.randint(2, (5, 4, 1))
    labels[0, 3] = -1
    model = decisions((4, 3, 2), 2 + BINS, width=4, depth=1).eval()
    loss, split = DecisionLoss(), SimpleNamespace(inputs=windows, labels=labels)
    size = sum(p.numel() for p in model.parameters())
    found = look_at(model, loss, split, [torch.randn(6, size).cumsum(0)], eigenpairs=2, seed=0)
    with sdpa_kernel(SDPBackend.MATH):
        dense = dense_hessian(model, loss, [(windows, labels)])
    assert found["size"] == size
    assert found["top"] == pytest.approx(torch.linalg.eigvalsh(dense).flip(0)[:2].tolist(), rel=1e-3)


def test_the_table_has_means_over_seeds():
    common = {"inner": "sgd", "inner_steps": 30, "size": 10, "cosine": 0.5}
    one = Look(**common, seed=0, loss=1.0, top=[4.0], bend=2.0, shares={"a": [0.1, 0.3]}, nulls={"walk": [0.02, 0, 1]})
    two = Look(**common, seed=1, loss=2.0, top=[6.0], bend=3.0, shares={"a": [0.2, 0.6]}, nulls={"walk": [0.04, 0, 1]})
    (row,) = table([one, two])
    assert row.pop("a").startswith("0.300 [")
    assert row == {
        "inside": "sgd",
        "inner steps": "30",
        "loss": "1.500",
        "largest eigenvalue": "5",
        "lr T h_1": "2.50",
        "cosine": "0.5000",
        "null: walk": "0.0300",
    }


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


def curve_of(losses, distances, aggregation, inner="sgd", seed=0):
    return Curve(inner, aggregation, seed, losses, distances)


def test_smoothness_is_read_at_equal_distance():
    """By hand: to distance 2 one curve falls evenly by 2; the other rises by 1 half way and falls by 2 on the whole."""
    even = curve_of([4.0, 3.0, 2.0, 1.0], [0.0, 1.0, 2.0, 3.0], "displacement")
    bent = curve_of([4.0, 5.0, 2.0], [0.0, 1.0, 2.0], "principal")
    (row,) = smooth([bent, even])
    assert row["inside"] == "sgd"
    assert row["variation, displacement"] == "1"
    assert row["variation, principal"] == "2"  # (1 + 3) / 2
    assert row["variation, difference"] == "+1 "
    assert row["bend, displacement"] == "0" or float(row["bend, displacement"]) < 1e-6
    assert row["bend, principal"] == "2"  # second difference -4 over a descent of 2
    assert row["distance, displacement"] == "3"


def test_a_loss_that_did_not_fall_is_named():
    rising = curve_of([4.0, 5.0, 4.5], [0.0, 1.0, 2.0], "principal", seed=3)
    falling = curve_of([4.0, 3.0, 2.0], [0.0, 1.0, 2.0], "displacement", seed=3)
    with pytest.raises(ValueError, match=r"principal with sgd inside, seed 3, did not fall .* take more --rollouts"):
        smooth([rising, falling])


def test_a_curve_is_measured_at_anchors():
    """The control with this optimizer inside is the optimizer itself; every loss is over all examples."""
    words = {"model": "mlp", "rollouts": 3, "evaluate_every": 3, "width": 4, "splits": 1, "batch_size": 8}
    config = RunConfig.model_validate({**FIXED, **words})
    found = curve(config, "sgd", "displacement", None)

    begun = begin(config, "sgd", None)
    plain = torch.optim.SGD(begun.trained, lr=begun.lr)
    points, losses = [vector(begun.trained)], [whole_loss(begun)]
    for number in range(1, 3 * begun.length + 1):
        index = next(begun.order)
        plain.zero_grad()
        begun.loss(begun.model(begun.split.inputs[index]), begun.split.labels[index]).backward()
        plain.step()
        if number % begun.length == 0:
            points.append(vector(begun.trained))
            losses.append(whole_loss(begun))
    assert found.lowest == []
    steps = [float((b - a).norm()) for a, b in itertools.pairwise(points)]
    assert found.losses == pytest.approx(losses, rel=1e-5)
    assert found.distances == pytest.approx([0.0, *itertools.accumulate(steps)], rel=1e-5)


def test_agreement_is_that_of_the_roll_out_itself():
    """Against dense points: the lowest cosine of g, and of the displacement, with what a domain moved."""
    words = {"model": "mlp", "rollouts": 1, "evaluate_every": 1, "width": 4, "splits": 2, "batch_size": 8}
    config = RunConfig.model_validate({**FIXED, **words})
    found = curve(config, "adam", "principal", None)

    begun = begin(config, "adam", None)
    plain, points, named = torch.optim.Adam(begun.trained, lr=begun.lr), [vector(begun.trained).double()], []
    for _ in range(begun.length):
        index = next(begun.order)
        named.append(int(begun.split.domains[index[0]]))
        plain.zero_grad()
        begun.loss(begun.model(begun.split.inputs[index]), begun.split.labels[index]).backward()
        plain.step()
        points.append(vector(begun.trained).double())
    points = torch.stack(points) - points[0]
    moved = [sum(points[i + 1] - points[i] for i, d in enumerate(named) if d == domain) for domain in set(named)]

    def lowest(way):
        return min(float(torch.cosine_similarity(way, -one, dim=0)) for one in moved)

    assert found.lowest == pytest.approx([lowest(pgrad.reference.principal_gradient(points, 4))], rel=1e-4)
    assert found.lowest_of_displacement == pytest.approx([lowest(-points[-1])], rel=1e-4)


def vector(parameters):
    return torch.nn.utils.parameters_to_vector(parameters).detach().clone()


def whole_loss(begun):
    with torch.no_grad():
        return float(begun.loss(begun.model(begun.split.inputs), begun.split.labels))


@pytest.mark.slow
def test_curves_from_the_command(said, tmp_path):
    words = ("coloured-digits", "--curves", "--inner", "sgd", "--seeds", "2", "--rollouts", "3", "--width", "4")
    code, written, _ = said("analyse", *words, "--output", tmp_path)
    assert code == 0
    assert (tmp_path / "smoothness.md").read_text() in written + "\n"
    assert len((tmp_path / "curves.jsonl").read_text().splitlines()) == 4
