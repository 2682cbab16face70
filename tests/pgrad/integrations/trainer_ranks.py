"""The program of every rank of a run with DomainTrainer, started by test_transformers.py.

``torchrun trainer_ranks.py FOLDER STOP``: eight steps in roll-outs of three with checkpoints every STOP steps, and
again from the first of these; rank 0 writes whether the ranks and the two runs agree.
"""

import sys
from pathlib import Path

import torch
from transformers import TrainingArguments

import pgrad
from pgrad.integrations.transformers import DomainTrainer
from tests.pgrad.integrations.problem import DOMAINS, optimizer, vector
from tests.pgrad.integrations.test_transformers import Classifier, Rows, Watch


def fit(folder, stop, seed, **resumed):
    args = TrainingArguments(
        folder,
        use_cpu=True,
        disable_tqdm=True,
        report_to="none",
        max_steps=8,
        eval_strategy="steps",
        eval_steps=stop,
        save_steps=stop,
        load_best_model_at_end=True,
    )
    batches = pgrad.DomainBatchSampler(DOMAINS, batch_size=2, generator=torch.Generator().manual_seed(0))
    model, watch = Classifier(seed), Watch()
    opt, rows = optimizer(model.parameters(), batches), Rows()
    data = {"train_dataset": rows, "eval_dataset": rows, "batch_sampler": batches}
    trainer = DomainTrainer(model, args, optimizers=(opt, None), callbacks=[watch], **data)
    trainer.train(**resumed)
    return watch.points, trainer, vector(model)


def main(folder, stop):
    torch.set_num_threads(1)
    points, trainer, found = fit(folder, stop, 0)
    again, _, _ = fit(folder, stop, 1, resume_from_checkpoint=str(folder / f"checkpoint-{stop}"))
    ranks = [torch.empty_like(found) for _ in range(2)]
    torch.distributed.all_gather(ranks, found)
    equal = all(map(torch.equal, again, points[stop:])) and len(again) == len(points) - stop
    best = trainer.evaluate()["eval_loss"] == trainer.state.best_metric
    if trainer.is_world_process_zero():
        sys.stdout.write(
            f"{len(points)} steps; ranks equal: {torch.equal(*ranks)}; resumed equal: {equal}; "
            f"best evaluated again: {best}\n"
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
