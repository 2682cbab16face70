"""Collects a row of numbers at every outer step of a training run, and writes them as a table."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from pgrad.analysis._needs import need
from pgrad.analysis._rolling import rolling
from pgrad.analysis.measures import Row, measures
from pgrad.optimizer import PGrad

__all__ = ["Recorder", "layers", "read_jsonl"]


class Recorder:
    """Records what every outer step of a `pgrad.PGrad` did: `pgrad.analysis.measures` of it.

    Attached, it costs some arithmetic on T x T matrices at every outer step; with ``parts``, one more pass over the
    stored displacements. Not attached, nothing.

    Args:
        opt: the optimizer. Wrappers of Accelerate, Lightning and Fabric may be given.
        parts: record parts of the parameters by themselves too: "groups" for each parameter group, or parameters by the
            name of their part, such as `layers` gives.
        every: record one in so many outer steps.

    Raises:
        TypeError: if ``opt`` is no `pgrad.PGrad`, or ``parts`` is something else.
        ValueError: if no part holds a parameter of ``opt``, or ``every`` is below 1.

    Example:
        >>> import torch, pgrad
        >>> model = nn.Linear(2, 1)
        >>> opt = pgrad.PGrad(model.parameters(), lr=1e-2, rollout_length=3)
        >>> with pgrad.analysis.Recorder(opt).attach() as recorder:
        ...     for step in range(6):
        ...         opt.zero_grad()
        ...         model(torch.randn(4, 2)).square().mean().backward()
        ...         _ = opt.step(domain=step % 3)
        >>> [row["inner_steps"] for row in recorder.rows], sorted(recorder.rows[0])[:3]
        ([3, 6], ['components', 'cosine', 'disagreement'])
    """

    def __init__(self, opt: Any, *, parts: str | Mapping[str, Iterable[Tensor]] | None = None, every: int = 1) -> None:
        found = rolling(opt)
        if isinstance(every, bool) or not isinstance(every, int) or every < 1:
            raise ValueError(f"every must be an int of at least 1, got {every!r}")
        if isinstance(parts, str) and parts != "groups":
            raise ValueError(f'parts must be "groups", parameters by name, or None, got {parts!r}')
        self._opt = found
        self._every = every
        self._parts: dict[str, list[Tensor]] | None = None
        if parts is not None:
            self._parts = _by_group(found) if isinstance(parts, str) else _checked(parts, found)
        self._hooks: list[Any] = []
        self._rows: list[Row] = []
        self._outer_steps = self._inner_steps = 0
        self._seen: Any = None

    # ----------------------------------------------------------------------------------------------------- collecting

    def attach(self) -> Recorder:
        """Record from the next outer step on.

        Raises:
            RuntimeError: if it has parts, and the optimizer is watched for other parts already.
        """
        if not self._hooks:
            if self._parts is not None and self._opt._watched:
                raise RuntimeError(
                    "opt is watched for the parts of one recorder at a time, got a second one: detach the "
                    f"first, of {', '.join(map(repr, self._opt._watched))}"
                )
            self._seen = self._opt.last_update
            self._hooks = [
                self._opt.register_step_pre_hook(self._look),
                self._opt.inner.register_step_post_hook(self._count),
                self._opt.register_step_post_hook(self._look),
            ]
            if self._parts is not None:
                self._opt.watch(self._parts)
        return self

    def detach(self) -> None:
        """Record no more; the rows stay."""
        self._look()
        for hook in self._hooks:
            hook.remove()
        if self._hooks and self._parts is not None:
            self._opt.watch({})
        self._hooks = []

    def __enter__(self) -> Recorder:
        return self.attach()

    def __exit__(self, *_: object) -> None:
        self.detach()

    def _count(self, *_: Any) -> None:
        self._inner_steps += 1

    def _look(self, *_: Any) -> None:
        """Whether there was an outer step since: `finish_rollout` makes one without a step."""
        update = self._opt.last_update
        if not self._hooks or update is self._seen:
            return
        self._seen = update
        self._outer_steps += 1
        if update is None or (self._outer_steps - 1) % self._every:
            return
        row: Row = {
            "outer_step": self._outer_steps,
            "inner_steps": self._inner_steps,
            "nonfinite_rollouts": self._opt.nonfinite_rollouts,
        }
        self._rows.append(row | measures(update, self._opt.last_parts))

    # --------------------------------------------------------------------------------------------------------- giving

    @property
    def rows(self) -> list[Row]:
        """One for each outer step that was recorded, oldest first; see `pgrad.analysis.measures`."""
        self._look()
        return self._rows

    def to_pandas(self) -> Any:
        """A pandas DataFrame, one row each.

        Raises:
            ImportError: if pandas is not installed.
        """
        return need("pandas", "a table of the recorder").DataFrame(self.rows)

    def to_parquet(self, path: Path | str) -> None:
        """Write a Parquet file.

        Raises:
            ImportError: if pandas or pyarrow is not installed.
        """
        need("pyarrow", "a Parquet file of the recorder")
        self.to_pandas().to_parquet(path)

    def to_jsonl(self, path: Path | str) -> None:
        """Write a file with one JSON object a line; numbers that are not finite are null. `read_jsonl` reads it."""
        lines = [json.dumps({name: _plain(value) for name, value in row.items()}) for row in self.rows]
        Path(path).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    def to_tensorboard(self, writer: Any, prefix: str = "rollout") -> None:
        """Add every number to a `torch.utils.tensorboard.SummaryWriter`, at its number of inner steps."""
        for row in self.rows:
            for name, value in row.items():
                if isinstance(value, (int, float)) and name not in ("outer_step", "inner_steps"):
                    writer.add_scalar(f"{prefix}/{name.replace('|', '-')}", value, row["inner_steps"])

    def state_dict(self) -> dict[str, Any]:
        """What is needed to go on in another process: plain numbers and strings."""
        return {
            "rows": [dict(row) for row in self.rows],
            "outer_steps": self._outer_steps,
            "inner_steps": self._inner_steps,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up what `state_dict` gave, instead of the rows that are here.

        Raises:
            ValueError: if it is something else.
        """
        try:
            rows = [dict(row) for row in state_dict["rows"]]
            outer_steps, inner_steps = int(state_dict["outer_steps"]), int(state_dict["inner_steps"])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"state_dict must be that of a Recorder: {error!r}") from error
        self._rows, self._outer_steps, self._inner_steps = rows, outer_steps, inner_steps
        self._seen = self._opt.last_update

    def __repr__(self) -> str:
        return f"Recorder(rows={len(self.rows)}, attached={bool(self._hooks)})"


def layers(model: nn.Module, depth: int | None = None) -> dict[str, list[Tensor]]:
    """The parameters of a model by the module that they are in, each once.

    Args:
        model: any.
        depth: cut the names of the modules after so many parts; None for each module by itself.

    Example:
        >>> sorted(layers(nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1))))
        ['0', '2']
    """
    if depth is not None and depth < 1:
        raise ValueError(f"depth must be at least 1 or None, got {depth}")
    found: dict[str, list[Tensor]] = {}
    for name, p in model.named_parameters():
        path = name.split(".")[:-1][:depth]
        found.setdefault(".".join(path) or "(model)", []).append(p)
    return found


def read_jsonl(path: Path | str) -> list[Row]:
    """The rows that `Recorder.to_jsonl` wrote.

    Raises:
        ValueError: if a line is no JSON object: the file is another one, or was cut off.
    """
    rows = []
    for line_number, line in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), 1):
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"path must hold a JSON object a line, and line {line_number} is none: {error}") from error
        if not isinstance(row, dict):
            raise ValueError(f"path must hold a JSON object a line, got {type(row).__name__} in line {line_number}")
        rows.append(row)
    return rows


def _checked(parts: Any, opt: PGrad) -> dict[str, list[Tensor]]:
    """Parts of the user's, some of which the optimizer has; a frozen one has no share."""
    if not isinstance(parts, Mapping):
        raise TypeError(f"parts must be parameters by name, such as of layers(model), got {type(parts).__name__}")
    found = {str(name): list(params) for name, params in parts.items()}
    own = {p for group in opt.param_groups for p in group["params"]}
    if not any(p in own for params in found.values() for p in params):
        raise ValueError(
            "parts must hold parameters that the optimizer has, got none: make them of the model that it was made for"
        )
    return found


def _by_group(opt: PGrad) -> dict[str, list[Tensor]]:
    return {str(group.get("name", number)): list(group["params"]) for number, group in enumerate(opt.param_groups)}


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
