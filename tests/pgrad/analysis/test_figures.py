"""What the figures show is what they were given, they can be told apart in grey, and they leave no global state."""

import subprocess
import sys

import pytest
import torch
from torch import nn

import pgrad
from pgrad import analysis
from pgrad.analysis import Interval, figures
from tests.pgrad.analysis.small import batches, network, vector

pytest.importorskip("matplotlib")


@pytest.fixture
def rows():
    found = []
    for number in range(60):
        points = torch.randn(7, 30, generator=torch.Generator().manual_seed(number), dtype=torch.float64).cumsum(0)
        row = analysis.measures(pgrad.principal_weights((points - points[0]) @ (points - points[0]).T))
        found.append({"inner_steps": 6 * (number + 1)} | row)
    return found


def lightness(colour):
    from matplotlib.colors import to_rgb

    red, green, blue = to_rgb(colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def told_apart(lines):
    """No two lines have one dash, and none has the colour of another."""
    styles = {str(line.get_linestyle()) + str(line._unscaled_dash_pattern) for line in lines}
    return len(styles) == len(lines) == len({line.get_color() for line in lines})


def test_the_spectrum_is_the_median_of_the_rows(rows):
    ax = figures.spectrum_over_training(rows, components=3, window=20)
    lines = [line for line in ax.lines if line.get_label().startswith("component")]
    assert told_apart(lines)
    for number, line in enumerate(lines, 1):
        expected = [
            torch.tensor([row[f"explained/{number}"] for row in rows[start : start + 20]], dtype=torch.float64)
            .quantile(0.5)
            .item()
            for start in (0, 20, 40)
        ]
        assert line.get_ydata() == pytest.approx(expected)
    band = torch.tensor(ax.collections[0].get_paths()[0].vertices[:, 1])
    first = torch.tensor([row["explained/1"] for row in rows[:20]], dtype=torch.float64)
    for part in (0.1, 0.9):
        assert float((band - first.quantile(part)).abs().min()) < 1e-12
    nulls = [line.get_ydata()[0] for line in ax.lines if not line.get_label().startswith("component")]
    assert nulls == pytest.approx(pgrad.random_walk_spectrum(6)[:3].tolist())


def test_overlap_has_its_intervals(tmp_path):
    steps = [10, 20, 30]
    shares = {
        "component 1": [Interval(0.3, 0.2, 0.4), Interval(0.5, 0.4, 0.7), Interval(0.4, 0.3, 0.5)],
        "displacement": [Interval(0.2, 0.1, 0.3)] * 3,
    }
    ax = figures.overlap_over_training(steps, shares, Interval(0.02, 0.01, 0.04))
    assert len(ax.containers) == 2
    for container, line in zip(ax.containers, shares.values(), strict=True):
        assert list(container.lines[0].get_ydata()) == [each.mean for each in line]
        ends = [segment[:, 1].tolist() for segment in container.lines[2][0].get_segments()]
        assert ends == [pytest.approx([each.low, each.high]) for each in line]
    assert told_apart([container.lines[0] for container in ax.containers])
    ax.figure.savefig(tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 10_000


def test_the_null_of_one_step_is_seen():
    """Pixels in the grey of the hatch, beside a figure without it."""

    def grey(null):
        ax = figures.overlap_over_training([40], {"component 1": [Interval(0.3, 0.2, 0.4)]}, null)
        ax.get_legend().remove()
        return (drawn(ax.figure) == int("8c", 16)).all(-1).sum()

    assert grey(Interval(0.1, 0.05, 0.15)) > 10 * grey(None)  # letters have some of it


def drawn(figure):
    """[rows, columns, 3], the picture."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return torch.frombuffer(bytearray(canvas.buffer_rgba()), dtype=torch.uint8).view(
        *canvas.get_width_height()[::-1], 4
    )[..., :3]


def test_every_cosine_is_written(rows):
    cosines = torch.tensor([[1.0, -0.25, 0.5], [-0.25, 1.0, 0.0], [0.5, 0.0, 1.0]])
    ax = figures.domain_cosines(["a", "b", "c"], cosines)
    assert [text.get_text() for text in ax.texts] == [f"{value:.2f}" for value in cosines.flatten().tolist()]
    image = ax.images[0]
    for text, value in zip(ax.texts, cosines.flatten().tolist(), strict=True):
        assert abs(lightness(text.get_color()) - lightness(image.cmap(image.norm(value)))) > 0.4


def test_a_plane_has_the_path_and_the_marks():
    model = network()
    points = vector(model) + torch.cat([torch.zeros(1, 43), torch.randn(5, 43).cumsum(0)]).double()
    found = analysis.plane(
        model, nn.functional.cross_entropy, batches(), points, resolution=6, marks={"mean": points.mean(0)}
    )
    ax = figures.plane(found)
    paths = [line for line in ax.lines if len(line.get_xdata()) == 6]
    assert len(paths) == 2
    for line in paths:
        torch.testing.assert_close(torch.tensor(line.get_xydata()), found.path)
    labels = {line.get_label() for line in ax.lines}
    assert {"anchor", "end of the roll-out", "mean"} <= labels
    shades = [lightness(colour) for colour in figures_of_cividis()]
    assert shades == sorted(shades)


def figures_of_cividis():
    import matplotlib

    return [matplotlib.colormaps["cividis"](value / 10) for value in range(11)]


def test_a_density_holds_its_outlier(tmp_path):
    found = analysis.density(analysis.Hessian(network(), nn.functional.cross_entropy, batches()), steps=20)
    ax = figures.density(found)
    places, values = ax.lines[0].get_data()
    assert places[0] < float(found.nodes.min()) < float(found.nodes.max()) < places[-1]
    width = float(found.nodes.max() - found.nodes.min()) / 100
    assert max(values) == pytest.approx(float(found.at(torch.tensor(places), width).max()))


def test_axes_that_are_given_are_drawn_into(rows):
    from matplotlib.figure import Figure

    one, other = Figure().subplots(1, 2)
    assert figures.spectrum_over_training(rows, ax=one) is one
    assert figures.domain_cosines(["a"], torch.ones(1, 1), ax=other) is other


@pytest.mark.slow
def test_nothing_global_is_touched():
    code = (
        "import sys, torch; from pgrad import analysis; assert not {'matplotlib', 'scipy'} & set(sys.modules)\n"
        "analysis.figures.domain_cosines(['a'], torch.ones(1, 1)); assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_bad_input(rows):
    with pytest.raises(ValueError, match="rows must be of roll-outs with a spectrum"):
        figures.spectrum_over_training([{"inner_steps": 3}])
    with pytest.raises(ValueError, match="components and window must be at least 1"):
        figures.spectrum_over_training(rows, window=0)
    with pytest.raises(ValueError, match="lines of 2 intervals"):
        figures.overlap_over_training([1, 2], {"a": [Interval(0, 0, 0)]})
    with pytest.raises(ValueError, match="null must be one interval, or one for each of 1 steps, got 2"):
        figures.overlap_over_training([1], {"a": [Interval(0, 0, 0)]}, [Interval(0, 0, 0)] * 2)
    with pytest.raises(ValueError, match=r"cosines must be \[D, D\] for 2 names"):
        figures.domain_cosines(["a", "b"], torch.ones(1, 1))


def test_without_matplotlib_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"a figure needs matplotlib: pip install 'pgrad\[analysis\]'"):
        figures.domain_cosines(["a"], torch.ones(1, 1))
