"""pandas with the manners that the data sets of WILDS were written for; see `pgrad.integrations.wilds._bridge`."""

from __future__ import annotations

from typing import Any

import pandas

__all__ = ["Frame", "Pandas", "Series"]


def _own(array: Any) -> Any:
    """`array`, or a copy of it where it must not be written."""
    flags = getattr(array, "flags", None)
    return array.copy() if flags is not None and not flags.writeable else array


class _Writable:
    """Arrays made from the object may be written; that does not change the object."""

    @property
    def values(self) -> Any:
        return _own(super().values)  # type: ignore[misc]

    def to_numpy(self, *args: Any, **kwargs: Any) -> Any:
        return _own(super().to_numpy(*args, **kwargs))  # type: ignore[misc]

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        return _own(super().__array__(*args, **kwargs))  # type: ignore[misc]

    @property
    def _constructor(self) -> Any:
        return Frame if isinstance(self, Frame) else Series

    @property
    def _constructor_sliced(self) -> Any:
        return Series

    @property
    def _constructor_expanddim(self) -> Any:
        return Frame


class Series(_Writable, pandas.Series):
    pass


class Frame(_Writable, pandas.DataFrame):
    pass


class Pandas:
    """The module pandas, but for four functions."""

    def __getattr__(self, name: str) -> Any:
        return getattr(pandas, name)

    def read_csv(self, *args: Any, **kwargs: Any) -> Any:
        frame = pandas.read_csv(*args, **kwargs)
        text = [column for column in frame.columns if isinstance(frame[column].dtype, pandas.StringDtype)]
        return Frame(frame.astype(dict.fromkeys(text, object)))

    def to_datetime(self, values: Any) -> Any:
        return pandas.to_datetime(values, format="ISO8601")

    def get_dummies(self, *args: Any, **kwargs: Any) -> Any:
        return pandas.get_dummies(*args, **{"dtype": float, **kwargs})
