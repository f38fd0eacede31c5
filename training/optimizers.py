"""Muon for the matrices, Adam for the rest, with float32 masters of weights that may be bfloat16."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn


def orthogonal(gradient: Tensor, dtype: torch.dtype, steps: int = 5) -> Tensor:
    """Newton-Schulz iteration towards the nearest orthogonal matrix (Jordan et al., Muon, 2024)."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = gradient.to(dtype)
    flipped = x.shape[0] > x.shape[1]
    x = x.T if flipped else x
    x = x / (x.norm() + 1e-7)
    for _ in range(steps):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    out: Tensor = (x.T if flipped else x).float()
    return out


@dataclass(frozen=True)
class Rates:
    """Learning rates at the top of the schedule."""

    matrices: float = 0.02
    others: float = 0.003
    momentum: float = 0.95
    decay: float = 0.02


class Masters:
    """Float32 copies of a model's parameters, their optimizer state and their moving average."""

    def __init__(self, model: nn.Module, rates: Rates, average: float = 0.998) -> None:
        self.model, self.rates, self.average = model, rates, average
        self.names = [name for name, _ in model.named_parameters()]
        self.live = [p for _, p in model.named_parameters()]
        self.weights = [p.detach().float().clone() for p in self.live]
        self.mean = [w.clone() for w in self.weights]
        self.first = [torch.zeros_like(w) for w in self.weights]
        self.second = [torch.zeros_like(w) for w in self.weights]
        self.steps = 0

    def is_matrix(self, index: int) -> bool:
        return self.weights[index].ndim == 2 and "embedding" not in self.names[index]

    @torch.no_grad()
    def step(self, scale: float, clip: float = 1.0) -> float:
        """Update the weights with the gradients of the live model; return the norm of the gradients."""
        self.steps += 1
        gradients = [p.grad.float() if p.grad is not None else torch.zeros_like(p) for p in self.live]
        norm = float(torch.sqrt(torch.stack([g.square().sum() for g in gradients]).sum()))
        for index, gradient in enumerate(gradients):
            gradient = gradient * min(1.0, clip / (norm + 1e-6))
            if self.is_matrix(index):
                self._muon(index, gradient, scale)
            else:
                self._adam(index, gradient, scale)
        for index, live in enumerate(self.live):
            live.copy_(self.weights[index])
            live.grad = None
        keep = min(self.average, self.steps / (self.steps + 20))
        torch._foreach_lerp_(self.mean, self.weights, 1 - keep)
        return norm

    def _muon(self, index: int, gradient: Tensor, scale: float) -> None:
        momentum, weight = self.rates.momentum, self.weights[index]
        self.first[index].lerp_(gradient, 1 - momentum)
        update = orthogonal(gradient.lerp(self.first[index], momentum), self.live[index].dtype)
        rate = self.rates.matrices * scale
        weight.mul_(1 - rate * self.rates.decay)
        weight.add_(update, alpha=-rate * max(1.0, weight.shape[0] / weight.shape[1]) ** 0.5)

    def _adam(self, index: int, gradient: Tensor, scale: float) -> None:
        self.first[index].lerp_(gradient, 0.1)
        self.second[index].lerp_(gradient.square(), 0.02)
        first = self.first[index] / (1 - 0.9**self.steps)
        second = self.second[index] / (1 - 0.98**self.steps)
        self.weights[index].add_(first / (second.sqrt() + 1e-8), alpha=-self.rates.others * scale)

    def state(self) -> dict[str, object]:
        """Return everything needed to resume."""
        return {
            "weights": self.weights,
            "mean": self.mean,
            "first": self.first,
            "second": self.second,
            "steps": self.steps,
        }

    def load(self, state: dict[str, list[Tensor]]) -> None:
        """Resume from a saved state."""
        for name in ("weights", "mean", "first", "second"):
            for mine, theirs in zip(getattr(self, name), state[name], strict=True):
                mine.copy_(theirs)
        self.steps = int(state["steps"])  # type: ignore[call-overload]
        with torch.no_grad():
            for live, weight in zip(self.live, self.weights, strict=True):
                live.copy_(weight)
