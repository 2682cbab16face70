"""The Decision Transformer of Hugging Face in its Trainer, on logs of three worlds: a batch, and a step, is of one.

A domain is a world of its own speed, and T is three: one batch of each is a roll-out.

python examples/decision_transformer.py
"""

import tempfile

import torch

import pgrad

try:
    from transformers import DecisionTransformerConfig, DecisionTransformerModel, TrainingArguments

    from pgrad.integrations.transformers import DomainTrainer
except ImportError as error:
    raise SystemExit(f"{error}; this example needs: pip install accelerate transformers") from error

torch.manual_seed(0)
STEPS, EACH, SPEEDS = 8, 40, (0.5, 1.0, 2.0)


def walk(speed):
    """A point that is pushed to the origin, at the speed of its world; the less it is away, the more is gained."""
    place, seen, took = torch.randn(2), [], []
    for _ in range(STEPS):
        seen.append(place)
        took.append((-0.5 * place + 0.1 * torch.randn(2)).clamp(-1, 1))
        place = place + speed * took[-1]
    gained = -torch.stack(seen).norm(dim=1, keepdim=True)
    togo = gained.flip(0).cumsum(0).flip(0)
    return {"states": torch.stack(seen), "actions": torch.stack(took), "returns_to_go": togo}


class Policy(torch.nn.Module):
    def __init__(self):
        super().__init__()
        own = {"n_layer": 1, "n_head": 2, "resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
        config = DecisionTransformerConfig(state_dim=2, act_dim=2, hidden_size=32, max_ep_len=STEPS, **own)
        self.net = DecisionTransformerModel(config)

    def forward(self, states, actions, returns_to_go):
        here = {
            "timesteps": torch.arange(STEPS).expand(len(states), -1),
            "attention_mask": torch.ones(len(states), STEPS),
        }
        said = self.net(states=states, actions=actions, returns_to_go=returns_to_go, **here).action_preds
        return {"loss": torch.nn.functional.mse_loss(said, actions), "logits": said}


rows = [walk(speed) for speed in SPEEDS for _ in range(EACH)]
domains = torch.arange(len(SPEEDS)).repeat_interleave(EACH)
sampler = pgrad.DomainBatchSampler(domains, batch_size=10, generator=torch.Generator().manual_seed(0))
model = Policy()
opt = pgrad.PGrad(model.parameters(), lr=1e-3, rollout_length=sampler)  # torch.optim.Adam(model.parameters(), lr=1e-3)
with tempfile.TemporaryDirectory() as out:
    args = TrainingArguments(out, max_steps=30, use_cpu=True, disable_tqdm=True, label_names=["actions"])
    data = {"train_dataset": rows, "eval_dataset": rows, "batch_sampler": sampler}
    trainer = DomainTrainer(model, args, optimizers=(opt, None), **data)
    before = trainer.evaluate()["eval_loss"]
    trainer.train()
    after = trainer.evaluate()["eval_loss"]
print(f"loss {before:.3f}, after 10 roll-outs {after:.3f}; {opt.last_update}")
