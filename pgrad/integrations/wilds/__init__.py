"""WILDS data sets (Koh et al. 2021, arXiv:2012.07421) for roll-outs over domains, with their official evaluation.

Needs ``pip install 'pgrad[wilds]'``; importing this package does not import wilds yet. The loop::

    from pgrad.integrations import wilds

    dataset = wilds.get_dataset("camelyon17", "data")
    train = dataset.get_subset("train", transform=transform)
    loader = wilds.rollout_loader(train, ["hospital"], batch_size=32, generator=torch.Generator().manual_seed(0))
    optimizer = pgrad.PGrad(model.parameters(), lr=1e-3, rollout_length=loader.batch_sampler.rollout_length)
    for x, y, metadata in loader:
        optimizer.zero_grad()
        cross_entropy(model(x), y).backward()
        optimizer.step()
    results = wilds.evaluate(model, dataset, transform=transform)["test"].results

`TASKS` says for each data set what its domains are, which metric is official, and whether it can be used.

Example:
    >>> TASKS["fmow"].domain_fields, TASKS["fmow"].metric
    (('year',), 'acc_worst_region')
"""

from pgrad.integrations.wilds.domains import domain_ids, domain_name, grouper, rollout_loader
from pgrad.integrations.wilds.evaluation import (
    Evaluation,
    evaluate,
    predict,
    prediction_file,
    read_predictions,
    write_predictions,
)
from pgrad.integrations.wilds.loading import download_command, get_dataset
from pgrad.integrations.wilds.tasks import SELECTION_SPLIT, TASKS, UNLABELED, Task, task

__all__ = [
    "SELECTION_SPLIT",
    "TASKS",
    "UNLABELED",
    "Evaluation",
    "Task",
    "domain_ids",
    "domain_name",
    "download_command",
    "evaluate",
    "get_dataset",
    "grouper",
    "predict",
    "prediction_file",
    "read_predictions",
    "rollout_loader",
    "task",
    "write_predictions",
]
