"""AMAGO's training loop, as it is, with pgrad as its optimizer: one line changes, and a batch is of one domain.

export PGRAD_AMAGO=CHECKOUT
python examples/amago.py

A domain is a size of a frozen lake, and T is three: one batch of each size is a roll-out. The target networks of AMAGO
follow every inner step. An epoch is whole roll-outs, so that AMAGO evaluates and stores the anchor.
"""

import os
import random
import sys
import tempfile
from copy import copy
from functools import partial

import numpy as np
import torch

import pgrad

SIZES, BATCH, STEPS = (3, 4, 5), 8, 24
if "PGRAD_AMAGO" not in os.environ:
    raise SystemExit(
        print("AMAGO is not on the package index: set PGRAD_AMAGO to a checkout of it that can be imported")
    )
sys.path.insert(0, os.environ["PGRAD_AMAGO"])
import gin  # noqa: E402
from amago import Agent, Experiment, nets  # noqa: E402
from amago.envs import AMAGOEnv  # noqa: E402
from amago.envs.builtin.toy_gym import MetaFrozenLake  # noqa: E402
from amago.loading import RLData, RLDataset  # noqa: E402


class WithRollouts(Experiment):
    def init_optimizer(self, policy):  # AMAGO's own has torch.optim.AdamW(policy.trainable_params, lr=..., ...) here
        adamw = partial(torch.optim.AdamW, weight_decay=self.l2_coeff)
        return pgrad.PGrad(policy.trainable_params, lr=self.learning_rate, rollout_length=len(SIZES), inner=adamw)


def walk(lake):
    """A random walk as a log."""
    seen, took, gained, ended = [lake.reset()[0]], [], [], False
    while not ended and len(took) < STEPS:
        took.append(lake.action_space.sample())
        now, reward, done, cut, _ = lake.step(took[-1])
        ended = done or cut
        seen.append(now)
        gained.append(reward)
    rows = torch.tensor(gained, dtype=torch.float32)[:, None]
    dones = torch.zeros(len(took), 1, dtype=torch.bool)
    dones[-1] = ended
    actions = torch.eye(5)[took]
    times = torch.arange(len(seen))[:, None]
    return RLData({"observation": torch.from_numpy(np.float32(seen))}, rows, dones, actions, times)


class OneSizeEach(RLDataset):
    save_new_trajs_to = None
    sample_random_trajectory = None

    def __init__(self):
        super().__init__()
        self.logs = [[walk(MetaFrozenLake(size, k_episodes=2)) for _ in range(20)] for size in SIZES]

    def get_description(self):
        return f"walks on lakes of the sizes {SIZES}, each batch of one size"

    def __getitem__(self, i):
        return copy(random.choice(self.logs[i // BATCH % len(SIZES)])).random_slice(self.max_seq_len)


random.seed(0)
torch.manual_seed(0)
gin.bind_parameter("TformerTrajEncoder.attention_type", nets.transformer.VanillaAttention)
small = {"n_layers": 1, "d_model": 32, "n_heads": 2, "d_ff": 64}
for name, value in small.items():
    gin.bind_parameter(f"TformerTrajEncoder.{name}", value)
with tempfile.TemporaryDirectory() as folder:
    experiment = WithRollouts(
        run_name="lakes",
        ckpt_base_dir=folder,
        max_seq_len=16,
        dataset=OneSizeEach(),
        tstep_encoder_type=nets.tstep_encoders.FFTstepEncoder,
        traj_encoder_type=nets.traj_encoders.TformerTrajEncoder,
        agent_type=Agent,
        make_train_env=lambda: AMAGOEnv(MetaFrozenLake(3, k_episodes=2), "lake"),
        make_val_env=lambda: AMAGOEnv(MetaFrozenLake(3, k_episodes=2), "lake"),
        val_timesteps_per_epoch=20,
        env_mode="sync",
        parallel_actors=2,
        dloader_workers=0,
        batch_size=BATCH,
        epochs=2,
        start_collecting_at_epoch=99,
        train_batches_per_epoch=4 * len(SIZES),
        val_interval=1,
        ckpt_interval=None,
        verbose=False,
    )
    experiment.start()
    experiment.learn()
opt = experiment.optimizer.optimizer
print(f"{experiment.grad_update_counter} batches, position {opt.rollout_position}; {opt.last_update}")
