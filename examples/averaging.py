"""An average of the anchors: it follows the optimizer, is evaluated inside `applied()`, and is saved with the rest.

python examples/averaging.py
"""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import pgrad

torch.manual_seed(0)
domains = torch.arange(3).repeat_interleave(40)
x = torch.randn(120, 8) + domains[:, None]
y = (x[:, 0] + 0.5 * torch.randn(120) > domains).long()
unseen = torch.randn(2000, 8) + 3  # a fourth domain
answer = (unseen[:, 0] > 3).long()

sampler = pgrad.DomainBatchSampler(domains, batch_size=8, splits=2)
loader = DataLoader(TensorDataset(x, y), batch_sampler=sampler)
model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 2))
opt = pgrad.PGrad(model.parameters(), lr=1e-2, rollout_length=sampler)
average = pgrad.averaging.EMA(model, decay=0.9).follow(opt)  # Mean(model) is SWA; with torch.optim.Adam: every step


def loss():
    with torch.no_grad():
        return nn.functional.cross_entropy(model(unseen), answer).item()


for epoch in range(20):
    for inputs, labels in loader:
        opt.zero_grad()
        nn.functional.cross_entropy(model(inputs), labels).backward()
        opt.step()  # at the end of a roll-out the average takes the new anchor
    if epoch % 5 == 4:
        with opt.at_anchor():
            anchor = loss()
        with average.applied():  # the average inside, the own weights again outside
            print(f"epoch {epoch + 1}: on the unseen domain {anchor:.3f} at the anchor, {loss():.3f} at the average")

state = {"model": model.state_dict(), "opt": opt.state_dict(), "average": average.state_dict()}  # to go on later
average.copy_to(model)  # to publish: buffers stay, so call torch.optim.swa_utils.update_bn if there is BatchNorm
print(f"the average of {average.count} anchors is in the model")
