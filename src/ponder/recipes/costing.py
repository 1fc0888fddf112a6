"""What turns tokens into floating-point operations and money."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Price = Annotated[float, Field(ge=0)]
"""For a million tokens, in any one currency."""


class ModelSize(BaseModel):
    """How large a model is, where its weights do not tell."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    parameters: Annotated[int, Field(ge=1)] | None = None
    """Weights that each token goes through: of a mixture of experts, the active ones."""
    layers: Annotated[int, Field(ge=1)] | None = None
    """Attention layers; with `width`, attention is counted too."""
    width: Annotated[int, Field(ge=1)] | None = None
    """Query heads times the width of one."""


class Prices(BaseModel):
    """Prices for a million tokens; a kind without a price costs nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    prompt: Price = 0.0
    """Tokens that each sample reads before its first own one."""
    cached: Price | None = None
    """Those of them that the engine read from its cache; None: like the others."""
    generated: Price = 0.0
    """Tokens drawn, failed and uncounted samples included."""
    verifier: Price = 0.0
    """Tokens of verifiers."""

    @property
    def given(self) -> bool:
        """There is a price at all."""
        return any((self.prompt, self.cached, self.generated, self.verifier))


NO_SIZE = ModelSize()
NO_PRICES = Prices()
