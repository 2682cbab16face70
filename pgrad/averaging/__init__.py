"""Averages of weights that follow any optimizer, behind one interface.

Of the points of a training run, the weights after each step (of a roll-out: its anchors), an average is kept beside the
model; where it is evaluated or saved, the model holds it for a while::

    average = pgrad.averaging.EMA(model, decay=0.99).follow(optimizer)
    for batch in loader:
        ...
        optimizer.step()  # the average takes the point by itself
    with average.applied():  # the average inside, the own weights again outside, bit for bit
        evaluate(model)

`EMA` forgets what is long past, `Mean` (SWA) counts all points from a start on, `SWAD` those in the valley of the
validation loss. `Average` is what they share: write another by saying what a point does to it.

Only parameters are averaged. Buffers stay those of the model; the running statistics of BatchNorm belong to other
weights then, and are recomputed inside `Average.applied` by `torch.optim.swa_utils.update_bn`.

Example:
    >>> import torch
    >>> model = torch.nn.Linear(1, 1, bias=False)
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    >>> average = Mean(model).follow(optimizer)
    >>> for value in (1.0, 2.0, 6.0):
    ...     _ = torch.nn.init.constant_(model.weight, value)
    ...     optimizer.step()
    >>> with average.applied():
    ...     model.weight.item()
    3.0
    >>> model.weight.item()
    6.0
"""

from pgrad.averaging.average import Average
from pgrad.averaging.ema import EMA
from pgrad.averaging.mean import Mean
from pgrad.averaging.swad import SWAD

__all__ = ["EMA", "SWAD", "Average", "Mean"]
