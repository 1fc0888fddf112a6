"""From rows to a calibrated head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

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


class Numbers(NamedTuple):
    """What a head computes with."""

    standard: Standard
    dense: tuple[Dense, ...]
    calibration: Calibration


class FittedHead(NamedTuple):
    """A head's numbers, and how they were found."""

    numbers: Numbers
    search: dict[str, object]
    """What was chosen, and by what: for the report."""
    validation: StepsTold


def fit_head(
    train: Rows,
    validation: Rows,
    settings: HeadSettings,
    problem_ids: Sequence[str],
    *,
    base_rate: float,
) -> FittedHead:
    """A linear head, or one with a hidden layer of so many units.

    The linear head's penalty is chosen by cross-validation over the training problems; the other
    stops early by the validation problems. Both are calibrated on the validation problems.
    `problem_ids` tells the id behind each problem's number, `base_rate` is what the head's loss is
    set beside.
    """
    standard = train.standard()
    inside, outside = train.standardised(standard), validation.standardised(standard)
    seed = settings.seed
    if settings.hidden:
        stopped = network.train(inside, outside, settings.hidden, seed)
        logits = stopped.network.logits(outside.features)
        dense = _layers(stopped.network)
        search: dict[str, object] = {"epoch": stopped.epoch, "validation_loss": stopped.loss}
    else:
        folds = _folds(inside, seed, problem_ids)
        chosen = linear.fit_chosen(inside, folds, contrast=settings.contrast)
        logits = chosen.linear.logits(outside.features)
        dense = (_line(chosen.linear),)
        losses = {f"{penalty:g}": loss for penalty, loss in chosen.losses.items()}
        search = {"penalty": chosen.penalty, "cross_validated_losses": losses}
    calibration = platt(logits, validation.targets, validation.weights)
    calibrated = calibration.scale * logits + calibration.shift
    told = _validation(calibrated, validation, base_rate)
    return FittedHead(Numbers(standard, dense, calibration), search, told)


def averaged(heads: Sequence[Numbers]) -> Numbers:
    """One head whose logit is the mean of these heads' calibrated logits.

    They read the same features and have as many layers, at most one of them hidden.
    """
    if len(heads) == 1:
        return heads[0]
    standard = heads[0].standard
    members = [_calibrated(head, standard) for head in heads]
    outer = [layers[-1] for layers in members]
    bias = _single(np.mean([layer.bias for layer in outer], axis=0))
    if len(members[0]) == 1:
        line = Dense(_single(np.mean([layer.weight for layer in outer], axis=0)), bias)
        return Numbers(standard, (line,), Calibration(1.0, 0.0))
    inner = [layers[0] for layers in members]
    side_by_side = Dense(
        np.concatenate([layer.weight for layer in inner], axis=1),
        np.concatenate([layer.bias for layer in inner]),
    )
    weight = _single(np.concatenate([layer.weight for layer in outer]) / len(members))
    return Numbers(standard, (side_by_side, Dense(weight, bias)), Calibration(1.0, 0.0))


def _calibrated(head: Numbers, standard: Standard) -> list[Dense]:
    """Layers that read features of this standard and give the head's calibrated logit."""
    own, (scale, shift) = head.standard, head.calibration
    first, *rest = head.dense
    bias = _single(first.bias + ((standard.mean - own.mean) / own.scale) @ first.weight)
    *inner, last = Dense(first.weight * (standard.scale / own.scale)[:, None], bias), *rest
    return [*inner, Dense(_single(last.weight * scale), _single(last.bias * scale + shift))]


def _validation(logits: Vector, rows: Rows, base_rate: float) -> StepsTold:
    rate = np.full_like(logits, np.log(base_rate / (1 - base_rate)))
    judged = Judged(logits, rows.targets, rows.problems)
    return {
        "loss": cross_entropy(logits, rows.targets, rows.weights),
        "loss_of_base_rate": cross_entropy(rate, rows.targets, rows.weights),
        "auc": area_of(judged),
    }


def mean_told(heads: Sequence[StepsTold]) -> StepsTold:
    """The mean of what several heads' validation problems say; of one head, its own."""
    areas = [told["auc"] for told in heads if told["auc"] is not None]
    return {
        "loss": fmean(told["loss"] for told in heads),
        "loss_of_base_rate": fmean(told["loss_of_base_rate"] for told in heads),
        "auc": fmean(areas) if areas else None,
    }


def value_head(
    base: BaseModel, settings: HeadSettings, numbers: Numbers, figures: TrainingFigures
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
        calibration=config_of.Calibration(**numbers.calibration._asdict()),
        training=figures,
    )
    return ValueHead(config, numbers.standard.mean, numbers.standard.scale, numbers.dense)


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


def _single(values: NDArray[np.floating]) -> Matrix:
    return values.astype(np.float32)
