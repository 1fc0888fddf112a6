"""A head with one small hidden layer, trained by Adam and stopped by the validation problems."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ponder.training.rows import Matrix, Rows, Vector, cross_entropy, sigmoid

LEARNING_RATE = 3e-4
WEIGHT_DECAY = 1e-2
"""Decoupled (Loshchilov and Hutter 2019), on weights, not on biases."""
BATCH = 128
EPOCHS = 200
PATIENCE = 15
"""Epochs without a better validation loss, after which training stops."""
_DECAYS = (0.9, 0.999)
_EPSILON = 1e-8


class Network(NamedTuple):
    """A logit for each row: relu(features @ inner + inner_bias) @ outer + bias."""

    inner: Matrix
    """[width, hidden]"""
    inner_bias: Matrix
    """[hidden]"""
    outer: Matrix
    """[hidden]"""
    bias: Matrix
    """[1]"""

    def hidden(self, features: Matrix) -> Matrix:
        """[rows, width] as [rows, hidden]."""
        hidden: Matrix = np.maximum(features @ self.inner + self.inner_bias, 0.0)
        return hidden

    def logits(self, features: Matrix) -> Vector:
        """[rows, width] as [rows]."""
        return (self.hidden(features) @ self.outer + self.bias).astype(np.float64)


class Stopped(NamedTuple):
    """The network of the best epoch."""

    network: Network
    epoch: int
    """From 1; 0 if no epoch was better than the start."""
    loss: float
    """Cross-entropy on the validation rows."""


def train(rows: Rows, validation: Rows, hidden: int, seed: int) -> Stopped:
    """Minimise the weighted cross-entropy of `rows`, keeping the epoch best on `validation`.

    Features should be standardised. The same seed gives the same network.
    """
    rng = np.random.default_rng(seed)
    network = _start(rows, hidden, rng)
    best = Stopped(network, 0, _loss(network, validation))
    adam, mean = _Adam(network), float(rows.weights.mean())
    for epoch in range(1, EPOCHS + 1):
        order = rng.permutation(len(rows))
        for first in range(0, len(rows), BATCH):
            batch = rows.where(order[first : first + BATCH])
            network = adam.step(network, _gradient(network, batch, mean))
        loss = _loss(network, validation)
        if loss < best.loss:
            best = Stopped(network, epoch, loss)
        elif epoch - best.epoch >= PATIENCE:
            break
    return best


def _start(rows: Rows, hidden: int, rng: np.random.Generator) -> Network:
    """He's initialisation; the bias gives the base rate."""
    width = rows.features.shape[1]
    rate = min(max(rows.base_rate, 1e-3), 1 - 1e-3)
    return Network(
        (rng.standard_normal((width, hidden)) * np.sqrt(2 / width)).astype(np.float32),
        np.zeros(hidden, dtype=np.float32),
        (rng.standard_normal(hidden) * np.sqrt(1 / hidden)).astype(np.float32) * 0.1,
        np.array([np.log(rate / (1 - rate))], dtype=np.float32),
    )


def _gradient(network: Network, batch: Rows, mean_weight: float) -> Network:
    """Of the batch's weighted cross-entropy, over weights whose mean is 1 in the whole data."""
    hidden = network.hidden(batch.features)
    logits = (hidden @ network.outer + network.bias).astype(np.float64)
    shares = batch.weights / mean_weight / len(batch)
    residuals = (shares * (sigmoid(logits) - batch.targets)).astype(np.float32)
    inside = np.outer(residuals, network.outer) * (hidden > 0)
    return Network(
        batch.features.T @ inside,
        inside.sum(axis=0),
        hidden.T @ residuals,
        residuals.sum(keepdims=True),
    )


def _loss(network: Network, rows: Rows) -> float:
    return cross_entropy(network.logits(rows.features), rows.targets, rows.weights)


class _Adam:
    """Adam (Kingma and Ba 2015) with decoupled weight decay."""

    def __init__(self, network: Network) -> None:
        self._means = Network(*(np.zeros_like(part) for part in network))
        self._squares = Network(*(np.zeros_like(part) for part in network))
        self._steps = 0

    def step(self, network: Network, gradient: Network) -> Network:
        """The network after one step."""
        self._steps += 1
        first, second = _DECAYS
        self._means = Network(
            *(first * m + (1 - first) * g for m, g in zip(self._means, gradient, strict=True))
        )
        self._squares = Network(
            *(
                second * s + (1 - second) * g * g
                for s, g in zip(self._squares, gradient, strict=True)
            )
        )
        rate = LEARNING_RATE * np.sqrt(1 - second**self._steps) / (1 - first**self._steps)
        decays = (WEIGHT_DECAY, 0.0, WEIGHT_DECAY, 0.0)
        return Network(
            *(
                part - rate * mean / (np.sqrt(square) + _EPSILON) - LEARNING_RATE * decay * part
                for part, mean, square, decay in zip(
                    network, self._means, self._squares, decays, strict=True
                )
            )
        )
