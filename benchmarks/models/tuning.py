"""Which part of a backbone is trained, and what its BatchNorm does meanwhile.

``tuning``: ``full`` trains everything; ``last-K`` the last K stages of the network (what timm calls a coarse group: a
stage of a convolutional network, a block of a transformer) and the head; ``frozen`` the head alone. What the stages
before make of a picture is computed once for ``frozen``, and for ``last-K`` where the network can be cut.

What is not trained is no parameter of the model but a buffer: no optimizer sees it, no weight decay, average or
principal direction reaches it, and ``train()`` leaves it in evaluation mode, its dropout off and its running statistics
as they were.

``batch_norm`` says what the BatchNorm layers of the trained part do: ``train``: they normalise by the mini-batch and
move their running statistics; ``frozen-statistics``: they normalise by the running statistics, which stay as they
were, and their scales and shifts are trained; ``frozen``: these stay as they were too.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from benchmarks.models.backbones import skeleton
from benchmarks.models.settings import BATCH_NORM, BatchNorm, trained_stages


def stages(net: nn.Module) -> list[list[str]]:
    """The names of the parameters of a network of timm, stage by stage, the stem first.

    What follows the last stage belongs to it if it is a norm alone.
    """
    from timm.models import group_parameters

    shapes = {name: parameter.ndim for name, parameter in net.named_parameters()}
    groups = group_parameters(net, net.group_matcher(coarse=True))  # type: ignore[operator]
    found: list[list[str]] = [list(groups[number]) for number in sorted(groups)]
    if len(found) > 1 and all(shapes[name] < 2 for name in found[-1]):
        last = found.pop()
        found[-1] += last
    return found


def untrained(name: str, net: nn.Module, tuning: str, batch_norm: BatchNorm | None) -> set[str]:
    """The names of the parameters of a network of timm that stay as they are.

    Raises:
        ValueError: If the network has not that many stages, or a policy for BatchNorm is missing or has no object.
    """
    number = trained_stages(tuning)
    fixed: set[str] = set()
    if number is not None:
        found = stages(net)
        if number >= len(found):
            raise ValueError(
                f"tuning: timm:{name} has {len(found)} stages, so that last-1 to last-{len(found) - 1} are possible, "
                f"and full; got {tuning!r}"
            )
        fixed = {each for stage in found[:-number] for each in stage}
    layers = {where: layer for where, layer in net.named_modules() if isinstance(layer, _BatchNorm)}
    own = {where: [f"{where}.{each}" for each, _ in layer.named_parameters()] for where, layer in layers.items()}
    trained = [names for names in own.values() if not fixed.issuperset(names)]
    if trained and batch_norm is None:
        raise ValueError(f"batch_norm: timm:{name} has BatchNorm in what is trained; say {', '.join(BATCH_NORM)}")
    if not trained and batch_norm is not None:
        raise ValueError(f"batch_norm: timm:{name} has no BatchNorm in what is trained; leave {batch_norm!r} out")
    if batch_norm == "frozen":
        fixed.update(each for names in trained for each in names)
    return fixed


def require_possible(name: str, tuning: str, batch_norm: BatchNorm | None) -> None:
    """Refuses what `Tuned` would refuse, without weights."""
    untrained(name, skeleton(name), tuning, batch_norm)


class Tuned(nn.Module):
    """A backbone and a head, some of it trained.

    Args:
        backbone: Its network ``net``, whole or cut; the parameters that stay as they are become buffers.
        head: From its features to outputs.
        name: Of the network in timm.
        tuning, batch_norm: As above.

    Raises:
        ValueError: As `untrained`.
    """

    def __init__(
        self, backbone: nn.Module, head: nn.Module, name: str, tuning: str, batch_norm: BatchNorm | None
    ) -> None:
        super().__init__()
        net = backbone.get_submodule("net")
        fixed = untrained(name, skeleton(name), tuning, batch_norm) & {each for each, _ in net.named_parameters()}
        self.still = frozenset(f"backbone.net.{where}".rstrip(".") for where in _still(net, fixed, batch_norm))
        for each in fixed:
            _to_buffer(net, each)
        self.backbone = backbone
        self.head = head
        self.train()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.backbone(x))
        return out

    def train(self, mode: bool = True) -> Tuned:
        """Sets the mode of the trained part; the rest always evaluates."""
        super().train(mode)
        for name in self.still:
            self.get_submodule(name).eval()
        return self


def _still(net: nn.Module, fixed: set[str], batch_norm: BatchNorm | None) -> list[str]:
    """The modules that always evaluate: those with parameters of which none is trained, and frozen BatchNorm."""
    found = []
    for where, module in net.named_modules():
        own = [f"{where}.{name}".lstrip(".") for name, _ in module.named_parameters()]
        normalises = isinstance(module, _BatchNorm) and batch_norm in ("frozen-statistics", "frozen")
        if normalises or (own and fixed.issuperset(own)):
            found.append(where)
    return found


def _to_buffer(net: nn.Module, name: str) -> None:
    where, _, leaf = name.rpartition(".")
    owner = net.get_submodule(where)
    value = owner.get_parameter(leaf).detach()
    delattr(owner, leaf)
    owner.register_buffer(leaf, value)
