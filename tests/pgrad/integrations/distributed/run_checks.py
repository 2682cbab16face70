"""The program of every rank: ``torchrun run_checks.py DEVICE REPORT FOLDER CHECKS...``, started by test_ranks.py.

DEVICE is cpu, with gloo, or cuda, with NCCL and a device for each rank. CHECKS are modules of this folder, with all in
their list CHECKS, or single ones as module.name. Each check gets FOLDER.
Rank 0 writes to the file REPORT, after each check, {name: what went wrong on any rank}.
"""

import datetime
import importlib
import json
import os
import sys
import traceback
import warnings
from pathlib import Path

import torch
import torch.distributed as dist
from common import gathered


def chosen(names):
    for name in names:
        module, _, single = name.partition(".")
        for check in importlib.import_module(module).CHECKS:
            if single in ("", check.__name__):
                yield f"{module}.{check.__name__}", check


def main(device, report, folder, *names):
    torch.set_num_threads(1)
    warnings.simplefilter("error", RuntimeWarning)
    if device == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group({"cpu": "gloo", "cuda": "nccl"}[device], timeout=datetime.timedelta(minutes=10))
    outcome = {}
    for name, check in chosen(names):
        try:
            check(Path(folder))
            problem = None
        except Exception:  # noqa: BLE001 - reported, whatever it is
            problem = f"rank {dist.get_rank()}:\n{traceback.format_exc()}"
        outcome[name] = "\n".join(text for text in gathered(problem) if text)
        if dist.get_rank() == 0:
            Path(report).write_text(json.dumps(outcome))
    dist.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:])
