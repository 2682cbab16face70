import pytest

from domainbed_ext import checkout
from domainbed_ext.__main__ import main
from domainbed_ext.errors import Refusal


@pytest.fixture(autouse=True)
def _nothing_given(monkeypatch):
    monkeypatch.delenv("DOMAINBED", raising=False)


def _write(root, **replaced):
    """Files of a checkout that hold the words that are looked for, and no more."""
    for name, words in checkout._NEEDED.items():
        path = root / "domainbed" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(replaced.get(path.stem, "\n".join(words)))
    return root


@pytest.mark.parametrize("give", ["argument", "variable"])
def test_a_folder_without_domainbed_is_refused_with_what_to_clone(tmp_path, monkeypatch, capsys, give):
    argv = ["train"]
    if give == "argument":
        argv += ["--domainbed", str(tmp_path)]
    else:
        monkeypatch.setenv("DOMAINBED", str(tmp_path))
    assert main(argv) == 2
    error = capsys.readouterr().err
    assert "git clone https://github.com/facebookresearch/DomainBed" in error
    assert "b93c22a" in error
    assert str(tmp_path) in error


def test_the_path_given_comes_before_the_variable(tmp_path, monkeypatch):
    monkeypatch.setenv("DOMAINBED", str(tmp_path / "nowhere"))
    root = _write(tmp_path / "checkout")
    assert checkout.find(root) == root
    monkeypatch.setenv("DOMAINBED", str(root))
    assert checkout.find() == root


def test_the_package_folder_an_old_checkout_and_a_fork_are_told_apart(tmp_path):
    root = _write(tmp_path / "checkout")
    with pytest.raises(Refusal, match="give the folder above it"):
        checkout.find(root / "domainbed")
    old = _write(tmp_path / "old", hparams_registry="def _hparams(algorithm, dataset, random_seed):\n  'resnet18'\n")
    with pytest.raises(Refusal, match=r"too old or unknown; it lacks hparams_registry.py: 'freeze_bn'"):
        checkout.find(old)
    fork = _write(tmp_path / "fork", algorithms="class PGrad(Fish):\n")
    with pytest.raises(Refusal, match="fork of DomainBed with a PGrad of its own"):
        checkout.find(fork)
