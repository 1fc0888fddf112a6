"""What scores reasoning, one file each."""

from ponder.verifiers.arithmetic import ArithmeticVerifier
from ponder.verifiers.base import Verifier, VerifierInfo
from ponder.verifiers.confidence import ConfidenceVerifier
from ponder.verifiers.function import FunctionVerifier
from ponder.verifiers.mix import MixVerifier
from ponder.verifiers.random import RandomVerifier
from ponder.verifiers.scripted import ScriptedVerifier

__all__ = [
    "ArithmeticVerifier",
    "ConfidenceVerifier",
    "FunctionVerifier",
    "MixVerifier",
    "RandomVerifier",
    "ScriptedVerifier",
    "Verifier",
    "VerifierInfo",
]
