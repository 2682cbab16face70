"""The model in plain Python: ``train.py``, which makes it again, and the lines that predict with it.

Both are written for the one network and optimizer that was chosen, and need torch (train.py pgrad, the prediction
safetensors) and timm where the network is on a backbone of it. Numbers are written in full, so that the training is the
same to the last digit that the machine gives.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import cross_entropy, mse_loss

from benchmarks.algorithms import ALGORITHMS
from benchmarks.base.losses import Loss
from benchmarks.models.backbones import PREFIX
from benchmarks.runs.model_folder import Description
from benchmarks.studies.choose.final import LastTraining

AGAIN = "again.pt"
"""What ``train.py`` writes, beside itself."""


@dataclass(frozen=True)
class Files:
    """What a training reads, relative to the script.

    Attributes:
        data: The prepared data.
        features: Of a frozen backbone; empty if there is none.
        n_features: Of a backbone, frozen or not.
    """

    data: str
    features: str = ""
    n_features: int = 0


def train_script(last: LastTraining, about: Description, files: Files, weights: Tensor | None, loss: Loss) -> str:
    """The text of ``train.py``.

    Args:
        last: Of the training.
        about: Of the model.
        files: That it reads.
        weights: Of the classes in the loss.
        loss: Of the data set.

    Raises:
        ValueError: if the algorithm, the network or the loss has no lines here.
    """
    single, average = _single(last), _average(last)
    what = "the head of this folder's model again, on the features of its backbone" if files.features else "it again"
    network = _head("model", about, files.n_features) if files.features else _network("model", about)
    lines = [
        f'"""Trains {what.replace("it again", "the model of this folder again")}, from the prepared data beside it."""',
        "",
        *(["from collections import OrderedDict"] if any("OrderedDict" in line for line in network) else []),
        "from pathlib import Path",
        "",
        "import torch",
        "from torch import nn",
        *(["", "import pgrad"] if single or average else []),
        "",
        "torch.set_num_threads(1)",
        "here = Path(__file__).parent",
        *_data(files, about),
        f"torch.manual_seed({last.initialisation})",
        *network,
        *_optimizer(last),
        *([average] if average else []),
        f"generator = torch.Generator().manual_seed({last.order})",
        "",
        "",
        *_order(last, single),
        "",
        "",
        *_loop(last, weights, loss),
        *_end(average, single),
    ]
    return "\n".join(lines) + "\n"


def _data(files: Files, about: Description) -> list[str]:
    kind = about.constants.kind
    lines = [
        f'data = torch.load(here / "{files.data}", weights_only=True)["domains"]',
        "labels = torch.cat([domain[2] for domain in data])",
        "numbers = torch.cat([torch.full((len(own[2]),), i) for i, own in enumerate(data)])",
    ]
    if files.features:
        return [*lines, f'inputs = torch.cat(torch.load(here / "{files.features}", weights_only=True)["features"])']
    lines.append("inputs = torch.cat([domain[1] for domain in data])")
    if kind == "columns":
        return [*lines, *_COLUMNS]
    if kind == "channels":
        mean, factor = list(about.constants.mean), list(about.constants.factor)
        lines.append(f"mean, factor = torch.tensor({mean}), torch.tensor({factor})")
        lines.append("inputs = (inputs - mean[:, None, None]) * factor[:, None, None]")
    return lines


_COLUMNS = (
    "inputs = inputs.double()",
    "mean = inputs.nanmean(dim=0).nan_to_num()",
    "scale = (inputs - mean).square().nanmean(dim=0).sqrt().nan_to_num()",
    "varies = inputs.nan_to_num(nan=torch.inf).amin(0) < inputs.nan_to_num(nan=-torch.inf).amax(0)",
    "inputs = torch.where(varies & (scale > 0), (inputs - mean) / scale, 0.0).nan_to_num().float()",
)


def _network(name: str, about: Description) -> list[str]:
    """Lines that make the network, with the names that its tensors have in the folder."""
    shape = about.network
    if shape.model in ("mlp", "linear"):
        depth = 0 if shape.model == "linear" else 1 if shape.depth is None else shape.depth
        return [f"{name} = {mlp(math.prod(shape.input_shape), shape.n_outputs, shape.width, depth)}"]
    if shape.model == "cnn":
        return _cnn(name, shape.input_shape[0], shape.n_outputs, shape.width)
    if shape.model.startswith(PREFIX):
        raise ValueError(f"{shape.model} was fine-tuned as a whole, from weights that are not part of the folder")
    raise ValueError(f"the model {shape.model!r} has no lines of plain torch here")


def _head(name: str, about: Description, n_features: int) -> list[str]:
    shape = about.network
    return [f"{name} = {mlp(n_features, shape.n_outputs, shape.width, shape.depth or 0)}"]


def mlp(n_inputs: int, n_outputs: int, width: int, depth: int) -> str:
    """As `benchmarks.models.small.mlp`.

    Example:
        >>> print(mlp(4, 2, 8, 1))
        nn.Sequential(nn.Flatten(), nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    """
    sizes = [n_inputs, *[width] * depth]
    hidden = [f"nn.Linear({a}, {b}), nn.ReLU()" for a, b in itertools.pairwise(sizes)]
    return f"nn.Sequential({', '.join(['nn.Flatten()', *hidden, f'nn.Linear({sizes[-1]}, {n_outputs})'])})"


def _cnn(name: str, channels: int, n_outputs: int, width: int) -> list[str]:
    """As `benchmarks.models.small.SmallCNN`."""
    sizes = (channels, width, 2 * width, 2 * width, 2 * width)
    layers = [
        f"    *(nn.Conv2d({a}, {b}, 3, stride={2 if i == 1 else 1}, padding=1), nn.ReLU(), nn.GroupNorm(8, {b})),"
        for i, (a, b) in enumerate(itertools.pairwise(sizes))
    ]
    return [
        "features = nn.Sequential(",
        *layers,
        "    *(nn.AdaptiveAvgPool2d(1), nn.Flatten()),",
        ")",
        f"{name} = nn.Sequential(OrderedDict(features=features, classifier=nn.Linear({2 * width}, {n_outputs})))",
    ]


def _number(value: float) -> str:
    return repr(float(value))


def _optimizer(last: LastTraining) -> list[str]:
    hparams, name = last.config.hparams, last.config.algorithm
    base = next((name.removesuffix(end) for end in ("-ema", "-swad", "-swa") if name.endswith(end)), name)
    lr, decay = _number(hparams["lr"]), _number(hparams["weight_decay"])
    if base == "erm":
        made = f"torch.optim.Adam(model.parameters(), lr={lr}, weight_decay={decay}, fused=True)"
        return [f"optimizer = {made}"]
    if base == "erm-sgd":
        momentum = _number(hparams["momentum"])
        made = f"torch.optim.SGD(model.parameters(), lr={lr}, weight_decay={decay}, momentum={momentum})"
        return [f"optimizer = {made}"]
    if base in ("reptile", "pgrad"):
        components = int(hparams["n_components"]) if "n_components" in hparams else None
        return [
            "optimizer = pgrad.PGrad(",
            "    model.parameters(),",
            f"    lr={lr},",
            f"    rollout_length={last.rollout_length},",
            f"    n_components={components},",
            f"    outer_lr={_number(hparams['outer_lr'])},",
            "    inner=lambda parameters, lr: torch.optim.Adam(parameters, lr=lr, fused=True),",
            f"    outer=lambda parameters, lr: torch.optim.SGD(parameters, lr=lr, weight_decay={decay}),",
            f"    aggregation=pgrad.aggregation.{'displacement' if base == 'reptile' else 'principal'},",
            ")",
        ]
    raise ValueError(f"the algorithm {name!r} has no lines of plain torch here")


def _average(last: LastTraining) -> str:
    hparams, name, single = last.config.hparams, last.config.algorithm, _single(last)
    every = last.rollout_length if single else 1
    if name.endswith("-ema"):
        decay = _number(hparams["decay"] ** every)
        return f"average = pgrad.averaging.EMA(model, decay={decay}).follow(optimizer)"
    if name.endswith("-swad"):
        return f"average = pgrad.averaging.SWAD(model, tolerance={_number(hparams['tolerance'])}).follow(optimizer)"
    if name.endswith("-swa"):
        points = last.config.rollouts * last.rollout_length // every
        start = int(hparams["average_start"] * points)
        return f"average = pgrad.averaging.Mean(model, start={start}).follow(optimizer)"
    return ""


def _single(last: LastTraining) -> bool:
    return ALGORITHMS[last.config.algorithm].batches == "single-domain"


def _order(last: LastTraining, single: bool) -> list[str]:
    size, splits = last.config.batch_size, last.config.splits
    if single:
        return [
            f"def batches(taken={size * splits}):  # small domains are gone through several times in a pass",
            "    own = [torch.arange(len(numbers))[numbers == number] for number in numbers.unique()]",
            "    more = [each for each in own for _ in range(-(-taken // len(each)) - 1)]",
            "    rows = torch.cat([torch.arange(len(numbers)), *more])",
            "    sampler = pgrad.DomainBatchSampler(",
            f'        numbers[rows], taken, splits={splits}, generator=generator, mode="infinite"',
            "    )",
            "    for index in sampler:",
            "        yield rows[torch.tensor(index)]",
        ]
    return [
        f"def batches(size={size}):",
        "    times = -(-size // len(inputs))",
        "    while True:",
        "        order = torch.randperm(times * len(inputs), generator=generator) % len(inputs)",
        "        yield from order[: len(order) // size * size].split(size)",
    ]


def _loop(last: LastTraining, weights: Tensor | None, loss: Loss) -> list[str]:
    plain = loss.func if isinstance(loss, functools.partial) else loss
    names: dict[Callable[..., Tensor], str] = {cross_entropy: "cross_entropy", mse_loss: "mse_loss"}
    if plain not in names:
        raise ValueError(f"the loss {getattr(plain, '__name__', plain)} has no lines of plain torch here")
    name = names[plain]
    weight = f", weight=torch.tensor({weights.tolist()})" if weights is not None else ""
    single, swad = _single(last), bool(last.config.valley)
    steps = last.checkpoints[-1][1]
    told = {due: value for (_, due), value in zip(last.checkpoints, last.config.valley, strict=False)}
    lines = [f"valley = {told}  # validation losses of the search, by step"] if swad else []
    lines += [
        f"for step, index in zip(range(1, {steps + 1}), batches()):",
        "    optimizer.zero_grad()",
        f"    nn.functional.{name}(model(inputs[index]), labels[index]{weight}).backward()",
        f"    optimizer.step({'domain=int(numbers[index[0]])' if single else ''})",
    ]
    return [*lines, "    if step in valley:", "        average.validate(valley[step])"] if swad else lines


def _end(average: str, single: bool) -> list[str]:
    save = f'torch.save(model.state_dict(), here / "{AGAIN}")'
    if average:
        inside = "with average.applied() if average.ready else "
        return [f"{inside}{'optimizer.at_anchor()' if single else 'torch.no_grad()'}:", f"    {save}"]
    return ["with optimizer.at_anchor():", f"    {save}"] if single else [save]


def prediction_lines(about: Description, n_features: int = 0) -> str:
    """Python that predicts with the folder, without the laboratory.

    Args:
        about: Of the model.
        n_features: Of its backbone, where it has one.

    Raises:
        ValueError: if the network has no lines here.
    """
    timm = about.network.model.startswith(PREFIX)
    lines = ["import json", "from pathlib import Path", "", *(["import timm"] if timm else []), "import torch"]
    lines += ["from safetensors.torch import load_file", "from torch import nn", ""]
    if timm:
        name = about.network.model.removeprefix(PREFIX)
        lines += [f'backbone = timm.create_model("{name}", num_classes=0)', *_head("head", about, n_features)]
        lines.append("model = nn.Sequential(OrderedDict(backbone=backbone, head=head))")
    else:
        lines += _network("model", about)
    if any("OrderedDict" in line for line in lines):
        lines.insert(1, "from collections import OrderedDict")
    end = 'print([about["classes"][i] for i in outputs.argmax(dim=1)])'
    lines += [
        'model.load_state_dict(load_file("model.safetensors"))',
        'about = json.loads(Path("model.json").read_text(encoding="utf-8"))',
        *_transformed(about),
        "outputs = model.eval()(x).detach()",
        end if about.classes else 'print(outputs * about["scale"])',
    ]
    return "\n".join(lines)


def _transformed(about: Description) -> list[str]:
    kind, shape = about.constants.kind, ", ".join(map(str, about.network.input_shape))
    if kind == "none":
        return [f"x = torch.rand(1, {shape})  # yours: [n, {shape}]"]
    if kind == "columns":
        return [
            f'x = torch.rand(1, {shape}).double()  # yours: [n, {shape}], as about["reading"] says',
            'c = {name: torch.tensor(value) for name, value in about["constants"].items() if name != "kind"}',
            'x = torch.where(c["varies"], (x - c["mean"]) / c["scale"], 0.0).nan_to_num().float()',
        ]
    step = '* c["factor"]' if kind == "channels" else '/ c["scale"]'
    size = about.network.image_size
    lines = [
        f"x = torch.rand(1, {shape})  # yours: [n, {shape}] in 0..1",
        'c = {k: torch.tensor(v)[:, None, None] for k, v in about["constants"].items() if k != "kind"}',
        f'x = (x - c["mean"]) {step}',
    ]
    if size is not None and size != about.network.input_shape[-1]:
        lines.insert(1, f'x = nn.functional.interpolate(x, ({size}, {size}), mode="bilinear", antialias=True)')
    return lines
