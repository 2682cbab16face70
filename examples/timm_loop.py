"""timm: the optimizer by name, with timm's model, scheduler and scaler.

    python examples/timm_loop.py

timm's own train script runs unchanged; its data set should give batches of one domain. Start it by ::

    import runpy, pgrad.integrations.timm

    pgrad.integrations.timm.register()
    runpy.run_path("train.py", run_name="__main__")

with ``--opt pgrad --opt-kwargs rollout_length=9 inner=adamw outer_lr=0.1`` among its arguments.
"""

import torch
from torch import nn

try:
    import timm
    from timm.optim import create_optimizer_v2
    from timm.scheduler import create_scheduler_v2
    from timm.utils import NativeScaler
except ImportError as error:
    raise SystemExit(f"{error}; this example needs: pip install timm") from error

import pgrad.integrations.timm

pgrad.integrations.timm.register()
torch.manual_seed(0)
torch.set_num_threads(1)
model = timm.create_model("test_resnet", num_classes=2, in_chans=3)
opt = create_optimizer_v2(
    model, "pgrad", lr=1e-3, weight_decay=0.05, inner="adamw", rollout_length=3, outer_lr=0.5, outer_weight_decay=1e-4
)
scheduler, epochs = create_scheduler_v2(opt, sched="cosine", num_epochs=4, warmup_epochs=0)
scaler = NativeScaler("cpu")

for epoch in range(epochs):
    for step in range(6):  # epochs of whole roll-outs: the model is at an anchor when they end
        shade = 0.3 * (step % 3)  # the domain
        y = torch.randint(2, (8,))
        x = torch.randn(8, 3, 32, 32) * 0.1 + shade + y[:, None, None, None]
        opt.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        scaler(loss, opt, clip_grad=1.0, parameters=model.parameters())
    scheduler.step(epoch + 1)
    print(f"epoch {epoch}: loss {loss.item():.3f}, position {opt.rollout_position}, lr {opt.param_groups[0]['lr']:.1e}")
