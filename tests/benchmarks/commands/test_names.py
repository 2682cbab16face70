"""``algorithms``, ``datasets`` and ``models``: lists, all about one, and names that are not known."""

import pytest

from benchmarks.__main__ import app
from benchmarks.algorithms import ALGORITHMS
from benchmarks.datasets import DATASETS
from benchmarks.models import MODELS


def said(capsys, monkeypatch, *words):
    monkeypatch.setenv("COLUMNS", "300")
    status = app(list(words), result_action="return_value")
    output = capsys.readouterr()
    return status, output.out, output.err


@pytest.mark.parametrize(
    ("word", "registry"),
    [("algorithms", ALGORITHMS), ("datasets", DATASETS), ("models", MODELS)],
    ids=lambda v: str(v)[:9],
)
def test_every_name_has_a_line(word, registry, capsys, monkeypatch):
    status, out, _ = said(capsys, monkeypatch, word)
    firsts = [line.split()[0] for line in out.splitlines() if line.split()]
    assert status == 0
    assert set(registry) <= set(firsts)


def test_all_about_an_algorithm(capsys, monkeypatch):
    status, out, _ = said(capsys, monkeypatch, "algorithms", "pgrad-nesterov", "sam", "upgrad")
    assert status == 0
    assert "source: PGrad, arXiv:2305.01134; pgrad.PGrad" in out
    assert "control: reptile-nesterov" in out
    assert "defaults: lr 0.01, weight_decay 1e-05, outer_lr 0.1, n_components 4, outer_momentum 0.9" in out
    assert "outer_lr 0.03 .. 0.5 (log-uniform); n_components one of 1, 2, 4, 6" in out
    assert "cost: 2 x 1" in out
    assert "cost: D" in out


def test_all_about_a_data_set_and_a_model(capsys, monkeypatch):
    _, out, _ = said(capsys, monkeypatch, "datasets", "coloured-digits")
    assert "domains: 90%, 80%, 10%" in out
    assert "metric: accuracy" in out
    assert "licence: CC BY 4.0" in out
    _, out, _ = said(capsys, monkeypatch, "models", "cnn")
    assert "DomainBed's MNIST_CNN" in out
    status, out, _ = said(capsys, monkeypatch, "models", "timm:resnet18", "mlp")
    assert status == 0
    assert out.startswith("mlp")
    assert "timm:resnet18" in out


def test_data_of_ones_own(tmp_path, capsys, monkeypatch):
    table = tmp_path / "ours.csv"
    table.write_text("site,x,target\n" + "".join(f"{'ab'[n % 2]},{n % 7},{n % 3}\n" for n in range(60)))
    status, out, _ = said(capsys, monkeypatch, "datasets", f"table:{table}?domain=site&target=target")
    assert status == 0
    assert "domains: a, b" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("algorithms", "pgard"), "'pgard' is not known. Did you mean 'pgrad'?"),
        (("models", "linaer"), "'linaer' is not known. Did you mean 'linear'?"),
        (("datasets", "folder:no-such-place"), "no-such-place"),
        (("models", "timm:no_such"), "no_such"),
    ],
)
def test_names_that_are_not_known(words, message, capsys, monkeypatch):
    status, _, err = said(capsys, monkeypatch, *words)
    assert status == 2
    assert message in err
