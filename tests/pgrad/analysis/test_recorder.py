"""The recorder against what the points of a run say, and its tables against each other."""

import json
import sys

import pytest
import torch
from torch import nn

import pgrad
from pgrad import analysis
from tests.pgrad import problems


def run(net, opt, steps, start=0):
    for step in range(start, start + steps):
        opt.zero_grad()
        problems.loss(net, step).backward()
        opt.step(domain="abc"[step % 3])


@pytest.fixture
def net():
    return problems.model(torch.float64)


def optimizer(net, **options):
    return pgrad.PGrad(net.parameters(), **({"lr": 1e-2, "rollout_length": 6} | options))


@pytest.fixture
def recorded(net):
    """A run of four roll-outs, with all of its points."""
    opt = optimizer(net, outer_lr=0.7)
    points = [[problems.vector(net)]]
    opt.inner.register_step_post_hook(lambda *_: points[-1].append(problems.vector(net)))
    opt.register_step_post_hook(lambda *_: points.append([problems.vector(net)]) if opt.rollout_position == 0 else None)
    with analysis.Recorder(opt, parts=analysis.layers(net)).attach() as recorder:
        run(net, opt, 24)
    return recorder, [torch.stack(rollout) for rollout in points[:-1]]


def cosine(a, b):
    return float(a @ b / (a.norm() * b.norm()))


def test_every_number_is_that_of_the_points(recorded):
    recorder, rollouts = recorded
    assert len(recorder.rows) == len(rollouts) == 4
    for number, (row, points) in enumerate(zip(recorder.rows, rollouts, strict=True), 1):
        steps = points.diff(dim=0)
        g = pgrad.reference.principal_gradient(points, 4)
        way = points[-1] - points[0]
        variances = torch.linalg.svdvals(points - points.mean(0))[:-1] ** 2
        domains = torch.stack([steps[start::3].sum(0) for start in range(3)])
        assert (row["outer_step"], row["inner_steps"], row["points"], row["components"]) == (number, 6 * number, 7, 4)
        expected = {
            "length": float(g.norm()),
            "displacement": float(way.norm()),
            "path": float(steps.norm(dim=1).sum()),
            "straightness": float(way.norm() / steps.norm(dim=1).sum()),
            "variance": float(variances.sum()),
            "cosine": cosine(g, -way),
            "disagreement": float((domains - domains.mean(0)).square().sum() / domains.square().sum()),
            "domains/a|b": cosine(domains[0], domains[1]),
            "domains/b|c": cosine(domains[1], domains[2]),
        }
        for index, step in enumerate(steps, 1):
            expected |= {
                f"explained/{index}": float(variances[index - 1] / variances.sum()),
                f"step_norm/{index}": float(step.norm()),
                f"step_cosine/{index}": cosine(g, -step),
            }
        for name, moved in zip("abc", domains, strict=True):
            expected |= {
                f"domain_norm/{name}": float(moved.norm()),
                f"domain_share/{name}": float(moved @ way / way.square().sum()),
                f"domain_cosine/{name}": cosine(g, -moved),
            }
        assert row == row | {name: pytest.approx(value, rel=1e-6, abs=1e-9) for name, value in expected.items()}
        assert sum(row[f"null/{z}"] for z in range(1, 7)) == pytest.approx(1)


def test_every_part_is_that_of_its_columns(recorded):
    recorder, rollouts = recorded
    for row, points in zip(recorder.rows, rollouts, strict=True):
        g = pgrad.reference.principal_gradient(points, 4)
        whole = (points - points.mean(0)).square().sum()
        for name, columns in {"0": slice(0, 56), "2": slice(56, 74)}.items():
            part = points[:, columns]
            variances = torch.linalg.svdvals(part - part.mean(0))[:-1] ** 2
            way = part[-1] - part[0]
            assert row[f"part/{name}/length"] == pytest.approx(float(g[columns].norm()))
            assert row[f"part/{name}/displacement"] == pytest.approx(float(way.norm()))
            assert row[f"part/{name}/cosine"] == pytest.approx(cosine(g[columns], -way))
            assert row[f"part/{name}/variance"] == pytest.approx(float(variances.sum() / whole))
            assert row[f"part/{name}/explained/1"] == pytest.approx(float(variances[0] / variances.sum()))


def test_domains_that_move_alike_at_right_angles_and_against_each_other():
    def disagreement(*steps):
        points = torch.tensor([[0.0, 0.0], *steps], dtype=torch.float64).cumsum(0)
        weights = torch.zeros(len(points))
        return analysis.measures(pgrad.Update.of(weights, points @ points.T, tuple(range(len(steps)))))["disagreement"]

    assert disagreement([1.0, 0.0], [1.0, 0.0]) == pytest.approx(0)
    assert disagreement([1.0, 0.0], [0.0, 1.0]) == pytest.approx(1 / 2)
    assert disagreement([1.0, 0.0], [-1.0, 0.0]) == pytest.approx(1)
    assert disagreement([0.0, 0.0], [0.0, 0.0]) is None


def test_numbers_do_not_depend_on_the_coordinates_and_norms_scale():
    """Rotation, permutation and scale of the parameters."""
    points = torch.randn(7, 5, dtype=torch.float64)
    points = points - points[0]
    rotation, _ = torch.linalg.qr(torch.randn(5, 5, dtype=torch.float64))

    def row(x):
        return analysis.measures(pgrad.principal_weights(x @ x.T, 3))

    expected = row(points)
    lengths = {"length", "displacement", "path", *(f"step_norm/{i}" for i in range(1, 7))}
    for changed, scale in [(points @ rotation, 1), (points[:, [4, 2, 0, 1, 3]], 1), (1e6 * points, 1e6)]:
        for name, value in row(changed).items():
            factor = scale if name in lengths else scale**2 if name == "variance" else 1
            assert value == pytest.approx(factor * expected[name], rel=1e-6, abs=1e-12), name


def test_the_displacement_keeps_two_points(net):
    opt = optimizer(net, aggregation=pgrad.aggregation.displacement)
    with analysis.Recorder(opt).attach() as recorder:
        run(net, opt, 6)
    (row,) = recorder.rows
    assert row["cosine"] == pytest.approx(1)
    assert row["length"] == pytest.approx(row["displacement"])
    assert row["components"] is None
    assert not any(name.startswith("domain") for name in row)


def test_finished_and_dropped_roll_outs(net):
    opt = optimizer(net)
    recorder = analysis.Recorder(opt).attach()
    run(net, opt, 2)
    opt.finish_rollout()
    assert [row["points"] for row in recorder.rows] == [3]
    run(net, opt, 2)
    opt.discard_rollout()
    run(net, opt, 3)
    opt.finish_rollout()
    run(net, opt, 6)
    assert [(row["points"], row["inner_steps"]) for row in recorder.rows] == [(3, 2), (4, 7), (7, 13)]


def test_whole_roll_outs_are_recorded(net):
    opt = optimizer(net, rollout_length=None)

    def closure(step):
        def value():
            loss = problems.loss(net, step)
            loss.backward()
            return loss

        return value

    with analysis.Recorder(opt).attach() as recorder:
        opt.rollout([closure(step) for step in range(4)], domains=[0, 1, 0, 1])
    assert [row["points"] for row in recorder.rows] == [5]
    assert "domains/0|1" in recorder.rows[0]


def test_recording_changes_nothing_and_ends(net):
    other = problems.model(torch.float64)
    plain, opt = optimizer(other), optimizer(net)
    recorder = analysis.Recorder(opt, parts="groups", every=2).attach()
    assert recorder.attach() is recorder
    run(net, opt, 24)
    run(other, plain, 24)
    assert torch.equal(problems.vector(net), problems.vector(other))
    assert [row["outer_step"] for row in recorder.rows] == [1, 3]
    assert recorder.rows[0]["part/0/length"] == pytest.approx(recorder.rows[0]["length"])
    recorder.detach()
    run(net, opt, 6)
    assert len(recorder.rows) == 2
    assert opt.last_parts == {}


def test_a_run_may_be_resumed(net, tmp_path):
    opt = optimizer(net)
    whole = analysis.Recorder(opt).attach()
    run(net, opt, 9)
    torch.save({"net": net.state_dict(), "opt": opt.state_dict(), "recorder": whole.state_dict()}, tmp_path / "run.pt")
    run(net, opt, 9, start=9)

    saved = torch.load(tmp_path / "run.pt", weights_only=True)
    net.load_state_dict(saved["net"])
    opt = optimizer(net)
    opt.load_state_dict(saved["opt"])
    resumed = analysis.Recorder(opt).attach()
    resumed.load_state_dict(saved["recorder"])
    run(net, opt, 9, start=9)
    assert resumed.rows == whole.rows
    with pytest.raises(ValueError, match="must be that of a Recorder"):
        resumed.load_state_dict({"rows": 3})


def test_tables(recorded, tmp_path):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    recorder, _ = recorded
    frame = recorder.to_pandas()
    assert frame["length"].tolist() == [row["length"] for row in recorder.rows]
    recorder.to_parquet(tmp_path / "rows.parquet")
    pandas.testing.assert_frame_equal(pandas.read_parquet(tmp_path / "rows.parquet"), frame)
    recorder.rows[0]["length"] = float("nan")
    recorder.to_jsonl(tmp_path / "rows.jsonl")
    read = analysis.read_jsonl(tmp_path / "rows.jsonl")
    assert read[0]["length"] is None
    assert read[1:] == recorder.rows[1:]
    json.loads((tmp_path / "rows.jsonl").read_text().splitlines()[0], parse_constant=pytest.fail)


@pytest.mark.parametrize(
    ("line", "wrong"), [('{"length": 1.', "line 2 is none: Expecting"), ("3", "got int in line 2")]
)
def test_a_file_that_was_cut_off_is_no_table(tmp_path, line, wrong):
    (tmp_path / "rows.jsonl").write_text(f'{{"length": 1.5}}\n{line}\n')
    with pytest.raises(ValueError, match=f"a JSON object a line, .*{wrong}"):
        analysis.read_jsonl(tmp_path / "rows.jsonl")


def test_tensorboard(recorded):
    class Writer:
        def __init__(self):
            self.found = {}

        def add_scalar(self, name, value, step):
            self.found[name, step] = value

    recorder, _ = recorded
    writer = Writer()
    recorder.to_tensorboard(writer)
    assert writer.found["rollout/explained/1", 12] == recorder.rows[1]["explained/1"]
    assert ("rollout/domains/a-b", 24) in writer.found


@pytest.mark.slow
def test_tensorboard_writes_it(recorded, tmp_path):
    tensorboard = pytest.importorskip("torch.utils.tensorboard")
    recorder, _ = recorded
    with tensorboard.SummaryWriter(tmp_path) as writer:
        recorder.to_tensorboard(writer)
    assert any(tmp_path.iterdir())


def test_bad_input(net, monkeypatch):
    with pytest.raises(TypeError, match=r"opt must be a pgrad\.PGrad, got Adam"):
        analysis.Recorder(torch.optim.Adam(net.parameters()))
    with pytest.raises(TypeError, match="got int"):
        analysis.Recorder(3)
    opt = optimizer(net)
    with pytest.raises(ValueError, match='parts must be "groups"'):
        analysis.Recorder(opt, parts="layers")
    with pytest.raises(TypeError, match=r"parts must be parameters by name, .* got list"):
        analysis.Recorder(opt, parts=list(net.parameters()))
    for others in ({}, {"a": []}, analysis.layers(nn.Linear(2, 2))):
        with pytest.raises(ValueError, match="parts must hold parameters that the optimizer has, got none"):
            analysis.Recorder(opt, parts=others)
    with pytest.raises(ValueError, match="every must be an int of at least 1, got 0"):
        analysis.Recorder(opt, every=0)
    with pytest.raises(ValueError, match="depth must be at least 1"):
        analysis.layers(net, depth=0)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"needs pandas: pip install pandas"):
        analysis.Recorder(opt).to_pandas()


def test_one_recorder_with_parts_at_a_time(net):
    opt = optimizer(net)
    first, second = analysis.Recorder(opt, parts="groups"), analysis.Recorder(opt, parts=analysis.layers(net))
    with first.attach(), pytest.raises(RuntimeError, match="one recorder at a time, got a second one: detach the"):
        second.attach()
    with second.attach(), analysis.Recorder(opt).attach():
        assert "attached=True" in repr(second)


def test_layers_by_depth():
    model = nn.Sequential(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)), nn.Linear(2, 1))
    assert sorted(analysis.layers(model)) == ["0.0", "0.1", "1"]
    assert {name: len(params) for name, params in analysis.layers(model, depth=1).items()} == {"0": 4, "1": 2}
