"""The class that the authors released, against ours: same network, data and order."""

import random

import pytest
import torch

NAMES = ("PGrad", "Debug28")


class _Replayed:
    """Our PGrad with the order of the released code: one list of domains, shuffled again for each pass."""

    def order(self, minibatches):
        domains, steps = list(range(len(minibatches))), []
        random.shuffle(domains)
        for i in range(self.splits):
            for domain in domains:
                x, y = minibatches[domain]
                part = slice(i * len(x) // self.splits, (i + 1) * len(x) // self.splits)
                steps.append((domain, (x[part], y[part])))
            random.shuffle(domains)
        return steps


def _flat(network):
    return torch.nn.utils.parameters_to_vector(network.parameters()).detach().clone()


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("weight_decay", [0.0, 1e-3])
@pytest.mark.parametrize(("dtype", "bound"), [(torch.float32, 1e-4), (torch.float64, 1e-11)])
def test_an_update_is_that_of_the_released_code(authors, dtype, bound, weight_decay):
    from domainbed import hparams_registry

    import domainbed_ext.algorithms as ours

    before_dtype = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        hparams = {**hparams_registry.default_hparams(*NAMES), "weight_decay": weight_decay}
        shape, classes, domains = (3, 28, 28), 2, 3
        oracle = authors.PGrad(shape, classes, domains, hparams)
        algorithm = type("Replayed", (_Replayed, ours.PGrad), {})(shape, classes, domains, hparams)
        for _ in range(3):  # from the second on, moments carry over
            torch.nn.utils.vector_to_parameters(_flat(oracle.network), algorithm.network.parameters())
            # 32 is no multiple of 3 splits; a shift tells the domains apart.
            minibatches = [(torch.randn(32, *shape) + d, torch.randint(classes, (32,))) for d in range(domains)]
            anchor, state = _flat(oracle.network), random.getstate()
            oracle.update(minibatches)
            after = random.getstate()
            random.setstate(state)
            algorithm.update(minibatches)
            assert random.getstate() == after  # the same orders were drawn
            update = (_flat(oracle.network) - anchor).norm()
            assert (_flat(algorithm.network) - _flat(oracle.network)).norm() <= bound * update
    finally:
        torch.set_default_dtype(before_dtype)
