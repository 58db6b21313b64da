"""One step of training, cut where its cost is to be told apart."""

import copy
from typing import Any

import torch
from torch import Tensor


class TrainingStep:
    """Losses of a batch, their gradients, and an update of the weights.

    The learning rate is zero, so that every step does the same work.

    Args:
        model: An mmdet detector in training mode.
        batch: ``inputs`` and ``data_samples``, as a loader gives them.
    """

    def __init__(self, model: Any, batch: dict[str, Any]) -> None:
        self.model = model
        self.batch = batch
        self.optimizer = torch.optim.AdamW(
            [x for x in model.parameters() if x.requires_grad], lr=0.0
        )

    def __call__(self) -> None:
        """Do the step once."""
        data = self.prepare(copy.deepcopy(self.batch))
        losses = self.model.loss(data['inputs'], data['data_samples'])
        total, _ = self.model.parse_losses(losses)
        self.backward(total)
        self.update()

    def prepare(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Bring the batch to the device, normalised and padded."""
        return self.model.data_preprocessor(batch, True)

    def backward(self, total: Tensor) -> None:
        """Compute all gradients."""
        total.backward()

    def update(self) -> None:
        """Let the optimizer change all weights."""
        self.optimizer.step()
        self.optimizer.zero_grad()
