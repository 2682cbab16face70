"""A causal transformer that scores the options of each step of a sequence of decisions.

Inputs are windows ``[n, T, R + K, W]`` (see `benchmarks.datasets.decisions.steps`), outputs ``[n, T, K + BINS]``. With
c_t the context and o_tk the options of step t::

    e_tk = E o_tk     (or a learned vector e_k where options have no features)
    x_t  = A c_t + mean of e_tk over the legal k + position_t
    h    = blocks of causal attention and a perceptron, each after a LayerNorm and around a residual
    s_tk = (Q h_t) . e_tk / sqrt(d) + v . relu(P h_t + U e_tk);   an illegal option has the score `NEVER`

and the value's outputs are a linear map of h_t. Without history, every step is by itself: no attention, no position.

With ``pictures`` the last S rows of the context, of W = 3 S columns, are a picture of S x S pixels in 0..255; two
convolutions and a linear map take the place of A for it.

Steps of padding stand behind the others of a window, and have no legal option. They are left out of all but attention,
where nothing looks at them: their scores are `NEVER`, and what is said about their value is 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, relu, scaled_dot_product_attention

from benchmarks.base.values import BINS, SCALE

NEVER = -1e4
"""The score of an option that is not legal: finite, so that a padded step has no NaN."""

HEAD = 32
"""Width of a head of attention, at most."""


@dataclass(frozen=True)
class Places:
    """Where the steps that are no padding stand in windows.

    Attributes:
        windows, steps: n and T.
        rows: ``[S]``: place n T + t of each, in their order.
    """

    windows: int
    steps: int
    rows: Tensor

    def spread(self, packed: Tensor) -> Tensor:
        """``[S, ...]`` to ``[n, T, ...]``, zeros where padding is."""
        whole = packed.new_zeros(self.windows * self.steps, *packed.shape[1:])
        out: Tensor = whole.index_copy(0, self.rows, packed).unflatten(0, (self.windows, self.steps))
        return out

    def packed(self, whole: Tensor) -> Tensor:
        """The inverse of `spread`."""
        return whole.flatten(0, 1).index_select(0, self.rows)


class Block(nn.Module):
    """Causal attention and a perceptron."""

    def __init__(self, width: int, history: bool) -> None:
        super().__init__()
        self.heads = max(1, width // HEAD)
        self.history = history
        if history:
            self.before = nn.LayerNorm(width)
            self.mixing = nn.Linear(width, 3 * width)
            self.after = nn.Linear(width, width)
        self.perceptron = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, x: Tensor, places: Places) -> Tensor:
        """``[S, width]`` to the same."""
        if self.history:
            three = places.spread(self.mixing(self.before(x))).unflatten(-1, (3, self.heads, -1))
            query, key, own = three.permute(2, 0, 3, 1, 4)
            mixed = scaled_dot_product_attention(query, key, own, is_causal=True)
            x = x + self.after(places.packed(mixed.transpose(1, 2).flatten(2)))
        out: Tensor = x + self.perceptron(x)
        return out


class PictureEncoder(nn.Module):
    """A picture of S x S pixels to a vector: 8 x 8 and 4 x 4 convolutions with strides 4 and 2, then a linear map."""

    def __init__(self, side: int, width: int) -> None:
        super().__init__()
        self.side = side
        self.net = nn.Sequential(
            nn.Conv2d(3, 16, 8, stride=4, padding=2),
            nn.ReLU(),
            nn.Conv2d(16, 32, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(32 * (side // 8) ** 2, width),
        )

    def forward(self, rows: Tensor) -> Tensor:
        """``[S, side, 3 side]`` to ``[S, width]``."""
        pictures = rows.unflatten(-1, (self.side, 3)).permute(0, 3, 1, 2)
        out: Tensor = self.net(pictures.float() / 255)
        return out


@dataclass(frozen=True)
class Options:
    """What is needed of the vectors e_sk of the options of each step; they themselves, ``[S, K, width]``, are not: with
    e = E o + b, a mean of them is E (mean o) + b, q . e is (E' q) . o + q . b, and U e is (U E) o + U b.

    Attributes:
        mean: Of the legal ones, ``[S, width]``.
        along: ``[S, width]`` to ``[S, K]``: q . e.
        mapped: U e, ``[S, K, width]``, or ``[K, width]`` where they are the same at every step.
    """

    mean: Tensor
    along: Callable[[Tensor], Tensor]
    mapped: Tensor


class OptionScorer(nn.Module):
    """The transformer; see the module.

    Args:
        input_shape: ``(T, R + K, W)``.
        n_outputs: K + BINS.
        width: d, a multiple of `HEAD` if it is above it.
        depth: Blocks.
        history: Whether a step sees those before it.
        pictures: Whether the context ends with one.
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        n_outputs: int,
        width: int,
        depth: int = 2,
        history: bool = True,
        pictures: bool = False,
    ) -> None:
        super().__init__()
        if len(input_shape) != 3 or not 0 < n_outputs - BINS < input_shape[1]:
            raise ValueError(
                "this model takes windows of decisions, [T, context rows + options, columns] and options + "
                f"{BINS} outputs; the data set has inputs {list(input_shape)} and {n_outputs} outputs"
            )
        if width % max(1, width // HEAD):
            raise ValueError(f"width of this model must be below {2 * HEAD} or a multiple of {HEAD}, got {width}")
        steps, rows, columns = input_shape
        self.options = n_outputs - BINS
        self.rows = rows - self.options
        side = columns // 3 if pictures else 0
        if pictures and (columns % 24 or self.rows <= side):
            raise ValueError(
                "this model takes contexts that end with a picture, S rows of 3 S columns for S a multiple of 8; the "
                f"data set has {self.rows} rows of {columns} columns: take 'decisions'"
            )
        self.seen = PictureEncoder(side, width) if pictures else None
        self.plain = self.rows - side
        self.context = nn.Linear(self.plain * columns, width)
        if columns > 1:
            self.features = nn.Linear(columns - 1, width)
        else:
            self.vectors = nn.Parameter(torch.randn(self.options, width) / math.sqrt(width))
        self.positions = nn.Parameter(0.02 * torch.randn(steps, width)) if history else None
        self.blocks = nn.Sequential(*(Block(width, history) for _ in range(depth)), nn.LayerNorm(width))
        self.query = nn.Linear(width, width)
        self.pair = nn.Linear(width, width)
        self.option = nn.Linear(width, width, bias=False)
        self.score = nn.Linear(width, 1, bias=False)
        self.value = nn.Linear(width, BINS)

    def forward(self, x: Tensor) -> Tensor:
        n, steps = x.shape[:2]
        there = (x[:, :, self.rows :, 0] > 0).any(dim=-1)
        places = Places(n, steps, there.flatten().nonzero().squeeze(1))
        x = places.packed(x)  # [S, R + K, W]
        legal = x[:, self.rows :, 0] > 0
        share = legal.to(self.context.weight.dtype)
        options = self._options(x, share / share.sum(dim=-1, keepdim=True))
        token = self.context(_numbers(x[:, : self.plain]).flatten(1)) + options.mean
        if self.seen is not None:
            token = token + self.seen(x[:, self.plain : self.rows])
        if self.positions is not None:
            token = token + self.positions.index_select(0, places.rows % steps)
        for block in self.blocks[:-1]:
            token = block(token, places)
        h = self.blocks[-1](token)
        along = options.along(self.query(h)) / math.sqrt(h.shape[-1])
        beside = self.score(relu(self.pair(h)[:, None, :] + options.mapped)).squeeze(-1)
        found = torch.cat([torch.where(legal, along + beside, NEVER), self.value(h)], dim=-1)
        padding = found.new_zeros(found.shape[-1])
        padding[: self.options] = NEVER
        out: Tensor = padding.repeat(n * steps, 1).index_copy(0, places.rows, found).unflatten(0, (n, steps))
        return out

    def _options(self, x: Tensor, share: Tensor) -> Options:
        if x.shape[-1] == 1:
            return Options(share @ self.vectors, lambda query: query @ self.vectors.T, self.option(self.vectors))
        shown, inner = _numbers(x[:, self.rows :, 1:]), self.features
        return Options(
            inner((share[:, None, :] @ shown).squeeze(1)),
            lambda query: (shown @ (query @ inner.weight)[..., None]).squeeze(-1) + (query @ inner.bias)[:, None],
            linear(shown, self.option.weight @ inner.weight, self.option.weight @ inner.bias),
        )


def _numbers(x: Tensor) -> Tensor:
    if x.is_floating_point():
        return x
    return x.float() / SCALE if x.dtype == torch.int16 else x.float()


def decisions(input_shape: tuple[int, ...], n_outputs: int, width: int, depth: int = 2) -> OptionScorer:
    """The transformer."""
    return OptionScorer(input_shape, n_outputs, width, depth)


def decisions_by_step(input_shape: tuple[int, ...], n_outputs: int, width: int, depth: int = 2) -> OptionScorer:
    """The same without what came before a step."""
    return OptionScorer(input_shape, n_outputs, width, depth, history=False)


def decisions_pixels(input_shape: tuple[int, ...], n_outputs: int, width: int, depth: int = 2) -> OptionScorer:
    """The transformer, with a picture at every step."""
    return OptionScorer(input_shape, n_outputs, width, depth, pictures=True)
