"""What was asked for: kept in ``choose.json``, so that the same command goes on and another one is refused."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from pydantic import Field, ValidationError

from benchmarks.base.config import Frozen
from benchmarks.base.errors import ConfigError
from benchmarks.base.whole import whole

FILE, LOCK = "choose.json", "choose.lock"


class Request(Frozen):
    """One choice.

    Attributes:
        data: Name of the data set.
        minutes: That it may take.
        models: Names, as in `benchmarks.studies.choose.candidates.space_of`.
        settings: Of all runs, that are not the recipe's.
        digest: Of the data.
        size: Number of the size in the recipe that fits.
    """

    data: str
    minutes: float = Field(gt=0)
    models: tuple[str, ...] = ()
    settings: dict[str, Any] = Field(default_factory=dict)
    digest: str
    size: int = Field(ge=0)


@contextlib.contextmanager
def alone(output: Path) -> Iterator[None]:
    """Holds the output folder for this process.

    Raises:
        ConfigError: if another one has it.
    """
    output.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(output / LOCK, timeout=0):
            yield
    except Timeout as error:
        raise ConfigError(f"--output: {output} is in use by another choice just now; name another folder") from error


def earlier(output: Path) -> Request | None:
    """The choice that the folder holds; None if it is a new one.

    Raises:
        ConfigError: if it holds something else.
    """
    path = output / FILE
    if not path.exists():
        if (output / "store.sqlite").exists():
            raise ConfigError(f"--output: {output} holds a sweep, and no choice; name another folder")
        return None
    try:
        return Request.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, ValidationError) as error:
        raise ConfigError(f"{path} is damaged ({error}); name another --output, or remove the file") from error


def require_same(before: Request, now: Request, output: Path) -> None:
    """Goes on only with the same choice.

    Raises:
        ConfigError: if another one stands in the folder, or its data have changed.
    """
    for name in ("data", "minutes", "models", "settings"):
        was, given = getattr(before, name), getattr(now, name)
        if was != given:
            raise ConfigError(
                f"--output: {output} holds another choice, with {name} {was!r} where {given!r} is asked for now; name "
                "another folder"
            )
    if before.digest != now.digest:
        raise ConfigError(
            f"--output: the data of the choice in {output} have changed since it was begun (their SHA-256 began with "
            f"{before.digest[:12]}, and begins with {now.digest[:12]} now); name another folder"
        )


def note(request: Request, output: Path) -> None:
    """Writes ``choose.json``."""
    with whole(output / FILE) as partial:
        partial.write_text(json.dumps(request.model_dump(mode="json"), indent=1, ensure_ascii=False), encoding="utf-8")
