"""``algorithms``, ``datasets`` and ``models``: lists, all about one, and names that are not known."""

import pytest

from benchmarks.algorithms import ALGORITHMS
from benchmarks.datasets import DATASETS
from benchmarks.models import MODELS


@pytest.mark.parametrize(
    ("word", "registry"),
    [("algorithms", ALGORITHMS), ("datasets", DATASETS), ("models", MODELS)],
    ids=lambda v: str(v)[:9],
)
def test_every_name_has_a_line(word, registry, said):
    status, out, _ = said(word)
    firsts = [line.split()[0] for line in out.splitlines() if line.split()]
    assert status == 0
    assert set(registry) <= set(firsts)


def test_all_about_an_algorithm(said):
    status, out, _ = said("algorithms", "pgrad-nesterov", "sam", "upgrad")
    assert status == 0
    assert "source: PGrad, arXiv:2305.01134; pgrad.PGrad" in out
    assert "control: reptile-nesterov" in out
    assert "defaults: lr 0.01, weight_decay 1e-05, outer_lr 0.1, n_components 4, outer_momentum 0.9" in out
    assert "outer_lr 0.03 .. 0.5 (log-uniform); n_components one of 1, 2, 4, 6" in out
    assert "cost: 2 x 1" in out
    assert "cost: D" in out


def test_all_about_a_data_set_and_a_model(said):
    _, out, _ = said("datasets", "coloured-digits")
    assert "domains: 90%, 80%, 10%" in out
    assert "metric: accuracy" in out
    assert "licence: CC BY 4.0" in out
    _, out, _ = said("models", "cnn")
    assert "DomainBed's MNIST_CNN" in out
    status, out, _ = said("models", "timm:resnet18", "mlp")
    assert status == 0
    assert out.startswith("mlp")
    assert "timm:resnet18" in out


def test_data_of_ones_own(tmp_path, said):
    table = tmp_path / "ours.csv"
    table.write_text("site,x,target\n" + "".join(f"{'ab'[n % 2]},{n % 7},{n % 3}\n" for n in range(60)))
    status, out, _ = said("datasets", f"table:{table}?domain=site&target=target")
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
def test_names_that_are_not_known(words, message, said):
    status, _, err = said(*words)
    assert status == 2
    assert message in err
