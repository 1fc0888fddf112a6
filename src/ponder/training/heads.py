"""From rows to a calibrated head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ponder.training import linear, network
from ponder.training.base_model import BaseModel
from ponder.training.calibration import Calibration, platt
from ponder.training.held_out import HeldOut
from ponder.training.metrics import Judged, area_of
from ponder.training.rows import Integers, Matrix, Rows, Standard, Vector, cross_entropy
from ponder.training.settings import HeadSettings, StepsTold
from ponder.training.split import fold_of
from ponder.verifiers import head_config as config_of
from ponder.verifiers.head_config import HeadConfig, TrainingFigures
from ponder.verifiers.head_file import Dense, ValueHead


class FittedHead(NamedTuple):
    """A head's numbers, and how they were found."""

    standard: Standard
    dense: tuple[Dense, ...]
    calibration: Calibration
    search: dict[str, object]
    """What was chosen, and by what: for the report."""
    validation: StepsTold


def fit_head(
    train: Rows, validation: Rows, hidden: int, seed: int, problem_ids: Sequence[str]
) -> FittedHead:
    """A linear head, or one with a hidden layer of so many units.

    The linear head's penalty is chosen by cross-validation over the training problems; the other
    stops early by the validation problems. Both are calibrated on the validation problems.
    `problem_ids` tells the id behind each problem's number.
    """
    standard = train.standard()
    inside, outside = train.standardised(standard), validation.standardised(standard)
    if hidden:
        stopped = network.train(inside, outside, hidden, seed)
        logits = stopped.network.logits(outside.features)
        dense = _layers(stopped.network)
        search: dict[str, object] = {"epoch": stopped.epoch, "validation_loss": stopped.loss}
    else:
        chosen = linear.fit_chosen(inside, _folds(inside, seed, problem_ids))
        logits = chosen.linear.logits(outside.features)
        dense = (_line(chosen.linear),)
        losses = {f"{penalty:g}": loss for penalty, loss in chosen.losses.items()}
        search = {"penalty": chosen.penalty, "cross_validated_losses": losses}
    calibration = platt(logits, validation.targets, validation.weights)
    calibrated = calibration.scale * logits + calibration.shift
    told = _validation(calibrated, validation, train.base_rate)
    return FittedHead(standard, dense, calibration, search, told)


def _validation(logits: Vector, rows: Rows, base_rate: float) -> StepsTold:
    rate = np.full_like(logits, np.log(base_rate / (1 - base_rate)))
    judged = Judged(logits, rows.targets, rows.problems)
    return {
        "loss": cross_entropy(logits, rows.targets, rows.weights),
        "loss_of_base_rate": cross_entropy(rate, rows.targets, rows.weights),
        "auc": area_of(judged),
    }


def value_head(
    base: BaseModel, settings: HeadSettings, fitted: FittedHead, figures: TrainingFigures
) -> ValueHead:
    """The head as it is saved and served."""
    config = HeadConfig(
        base=base.of,
        engine=base.engine,
        computed=base.computed,
        layers=base.layers,
        features=settings.features,
        prompt=settings.prompt,
        labels=settings.supervision,
        activation="relu",
        calibration=config_of.Calibration(**fitted.calibration._asdict()),
        training=figures,
    )
    return ValueHead(config, fitted.standard.mean, fitted.standard.scale, fitted.dense)


def with_figures(head: ValueHead, held_out: HeldOut) -> ValueHead:
    """The head with what it is worth; one no better than chance says so."""
    steps, known = held_out["steps"], head.config.training
    figures = {
        "auc": steps["auc"]["value"],
        "auc_low": steps["auc"]["ci_low"],
        "auc_high": steps["auc"]["ci_high"],
        "brier": steps["brier"],
        "better_than_chance": held_out["better_than_chance"],
        "better_within_problems": held_out["better_within_problems"],
    }
    training = known.model_copy(update=figures)
    return replace(head, config=head.config.model_copy(update={"training": training}))


def _folds(rows: Rows, seed: int, problem_ids: Sequence[str]) -> Integers:
    folds = np.array([fold_of(name, seed, linear.FOLDS) for name in problem_ids], dtype=np.int64)
    own: Integers = folds[rows.problems]
    return own


def _line(fitted: linear.Linear) -> Dense:
    return Dense(_single(fitted.weights)[:, None], _single(np.array([fitted.bias])))


def _layers(fitted: network.Network) -> tuple[Dense, ...]:
    return Dense(fitted.inner, fitted.inner_bias), Dense(fitted.outer[:, None], fitted.bias)


def _single(values: Vector) -> Matrix:
    return values.astype(np.float32)
