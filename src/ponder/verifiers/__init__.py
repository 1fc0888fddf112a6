"""What scores reasoning, one file each."""

from ponder.verifiers.arithmetic import ArithmeticVerifier
from ponder.verifiers.base import Verifier, VerifierInfo
from ponder.verifiers.confidence import ConfidenceVerifier
from ponder.verifiers.function import FunctionVerifier
from ponder.verifiers.judge import JudgeVerifier
from ponder.verifiers.mix import MixVerifier
from ponder.verifiers.random import RandomVerifier
from ponder.verifiers.remote_reward import RewardServer
from ponder.verifiers.reward_model import RewardModel
from ponder.verifiers.scripted import ScriptedVerifier
from ponder.verifiers.value_head import ValueHeadVerifier

__all__ = [
    "ArithmeticVerifier",
    "ConfidenceVerifier",
    "FunctionVerifier",
    "JudgeVerifier",
    "MixVerifier",
    "RandomVerifier",
    "RewardModel",
    "RewardServer",
    "ScriptedVerifier",
    "ValueHeadVerifier",
    "Verifier",
    "VerifierInfo",
]
