"""A strategy is a frozen dataclass with one coroutine; it sees nothing but the session."""

from dataclasses import dataclass
from typing import ClassVar

import ponder
from ponder.engines import ScriptedEngine
from ponder.session import Finish, Session
from ponder.types import Prefix, Problem, Sampling


@dataclass(frozen=True, slots=True)
class UntilAnswered:
    """Draws one solution after the other until one states an answer."""

    name: ClassVar[str] = "until_answered"
    exchangeable: ClassVar[bool] = False
    n: int = 8
    selector: str = "majority"

    async def solve(self, problem: Problem, session: Session) -> ponder.Trace:
        """At most n solutions; only the last can have an answer."""
        solutions = []
        for index in range(self.n):
            stream = session.sample(Prefix.root(problem), [(index,)], Sampling())
            solutions += [sample async for sample in stream if not sample.failed]
            if solutions and session.answers.extract(solutions[-1].prefix.text):
                break
        return await session.finish(Finish(self.name, self.n, solutions, self.selector))


if __name__ == "__main__":
    import asyncio

    engine = ScriptedEngine(lambda _prefix, seed: "The answer is 4." if seed % 3 == 0 else "Well.")
    task = ponder.asolve("2 + 2?", model=engine, strategy=UntilAnswered(), verifier=None)
    trace = asyncio.run(task)
    print(trace.answer, len(trace.nodes))
