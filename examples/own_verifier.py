"""A verifier of one's own is a function from the problem and its step texts to their scores."""

import ponder
from ponder.engines import ScriptedEngine
from ponder.types import Prefix


def shows_its_work(problem: ponder.Problem, steps: tuple[str, ...]) -> list[float]:
    """Prefer steps that write down an equation."""
    return [1.0 if "=" in step else 0.2 for step in steps]


def model(prefix: Prefix, seed: int) -> str:
    """Stands in for a language model: half of its samples calculate."""
    if prefix.depth:
        return "The answer is 42." if "42" in prefix.text else "The answer is 13."
    return "6 * 7 = 42.\n\n" if seed % 2 else "Hm.\n\n"


async def main() -> ponder.Trace:
    """Search over steps with the function as guide."""
    return await ponder.asolve(
        "What is 6 * 7?",
        model=ScriptedEngine(model),
        strategy="beam_search",
        verifier=shows_its_work,
        aggregation="mean",
        n=8,
    )


if __name__ == "__main__":
    import asyncio

    trace = asyncio.run(main())
    print(trace.answer)
    for decision in trace.decisions:
        print(decision.kind, decision.paths, decision.reason)
