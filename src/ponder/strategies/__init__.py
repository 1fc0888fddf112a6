"""Ways to spend a budget on one problem, one file each."""

from ponder.strategies.base import Strategy
from ponder.strategies.beam_search import BeamSearch
from ponder.strategies.compute_optimal import ComputeOptimal
from ponder.strategies.dvts import DiverseVerifierTreeSearch
from ponder.strategies.sample import RepeatedSampling
from ponder.strategies.self_refine import SelfRefine

__all__ = [
    "BeamSearch",
    "ComputeOptimal",
    "DiverseVerifierTreeSearch",
    "RepeatedSampling",
    "SelfRefine",
    "Strategy",
]
