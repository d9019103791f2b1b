"""Our SGD against torch's."""

import torch
from torch import nn

from advtransfer.optimisation import SGD


def test_updates_equal_torchs_bit_for_bit():
    torch.manual_seed(0)
    ours = [nn.Parameter(torch.randn(5, 4)), nn.Parameter(torch.randn(7))]
    theirs = [nn.Parameter(parameter.detach().clone()) for parameter in ours]
    optimiser = SGD(ours, momentum=0.9, weight_decay=5e-4)
    reference = torch.optim.SGD(theirs, lr=0.1, momentum=0.9, weight_decay=5e-4, foreach=False)
    for step in range(20):
        rate = 0.1 if step < 10 else 0.01
        for parameters in (ours, theirs):
            generator = torch.Generator().manual_seed(step)
            for parameter in parameters:
                parameter.grad = torch.randn(parameter.shape, generator=generator)
        optimiser.step(rate)
        reference.param_groups[0]["lr"] = rate
        reference.step()
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    optimiser.clear_gradients()
    assert all(parameter.grad is None for parameter in ours)
