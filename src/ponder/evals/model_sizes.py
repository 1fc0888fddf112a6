"""What a run tells of its models' sizes, for their floating-point operations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ponder.backends.model_shape import UNKNOWN, ModelShape, shape_of
from ponder.recipes import Study
from ponder.recipes.costing import ModelSize
from ponder.verifiers.base import Verifier

SIZE, VERIFIER_SIZE = "size", "verifier_size"
"""Keys of a run's provenance: the same as those of `[study]`, which go before."""


def told_sizes(study: Study, verifiers: Sequence[Verifier]) -> dict[str, object]:
    """What the files of the study's model and of its verifier's model say, for the provenance."""
    here = study.engine in ("embedded", "vllm")
    shapes = {SIZE: shape_of(study.model, study.vllm.revision)} if here else {}
    return {**_known(shapes), **verifier_sizes(verifiers)}


def verifier_sizes(verifiers: Sequence[Verifier]) -> dict[str, object]:
    """The verifier's part alone: its files may be here only once it has scored.

    A verifier tells by an attribute `shape`; of several none can be told apart by its tokens.
    """
    shapes = [getattr(verifier, "shape", UNKNOWN) for verifier in verifiers]
    return _known({VERIFIER_SIZE: shapes[0]} if len(shapes) == 1 else {})


def _known(shapes: Mapping[str, ModelShape]) -> dict[str, object]:
    return {key: shape._asdict() for key, shape in shapes.items() if shape != UNKNOWN}


def size_in(key: str, study: Mapping[str, object], provenance: Mapping[str, object]) -> ModelSize:
    """A model's size: each number from `[study]`, else as the weights told it.

    Of runs that tell no `size`, the parameters that the engine told.
    """
    engine = provenance.get("engine")
    parameters = engine.get("parameters") if key == SIZE and isinstance(engine, dict) else None
    parts = ({"parameters": parameters}, provenance.get(key), study.get(key))
    told = [part.items() for part in parts if isinstance(part, dict)]
    known = {name: value for items in told for name, value in items if value is not None}
    return ModelSize.model_validate(known)
