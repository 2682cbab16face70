"""The parameter groups of the outer optimizer are those of the inner one, which the user sees and may change."""

from __future__ import annotations

import operator
from typing import Any

from torch.optim import Optimizer

__all__ = ["follow_groups"]

_params = operator.itemgetter("params")


def follow_groups(inner: Optimizer, outer: Optimizer) -> None:
    """Give the outer optimizer the groups of the inner one: the same lists of parameters, with its own options.

    Two groups belong together if they hold the same list. Groups that were assigned anew belong together by their
    place, if there are as many as before. Whatever is left is a new group, with the defaults of the outer optimizer.
    """
    own, theirs = inner.param_groups, outer.param_groups
    lists, their_lists = map(_params, own), map(_params, theirs)
    if len(own) == len(theirs) and all(map(operator.is_, lists, their_lists)):
        return
    by_list = {id(group["params"]): group for group in theirs}
    partners: list[dict[str, Any] | None] = [by_list.pop(id(group["params"]), None) for group in own]
    if len(own) == len(theirs):
        for n, partner in enumerate(partners):
            if partner is None and id(theirs[n]["params"]) in by_list:
                partners[n] = by_list.pop(id(theirs[n]["params"]))
    for n, (group, partner) in enumerate(zip(own, partners, strict=True)):
        if partner is None:
            outer.add_param_group({"params": []})
            partners[n] = partner = theirs[-1]
        partner["params"] = group["params"]
    theirs[:] = [partner for partner in partners if partner is not None]
