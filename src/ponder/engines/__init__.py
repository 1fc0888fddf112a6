"""Language models, one file each."""

from ponder.engines.base import Capabilities, Engine
from ponder.engines.embedded import EmbeddedEngine
from ponder.engines.openai import OpenAIEngine
from ponder.engines.scripted import Reply, ScriptedEngine

__all__ = ["Capabilities", "EmbeddedEngine", "Engine", "OpenAIEngine", "Reply", "ScriptedEngine"]
