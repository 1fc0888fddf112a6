"""The `openai` engine, for vLLM, llama.cpp's server, SGLang, Ollama and hosted endpoints."""

from ponder.engines.openai.engine import OpenAIEngine

__all__ = ["OpenAIEngine"]
