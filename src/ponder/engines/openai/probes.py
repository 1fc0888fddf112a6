"""Finds out by behaviour what a server can do, with a few requests of a few tokens.

The modes are tried in order of fidelity: completions with token ids, completions with rendered
text, chat with `continue_final_message`. The first that goes on with a partial answer is taken;
what failed before is kept in words.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from ponder.backends.http import HttpClient
from ponder.backends.http_errors import PassingError, RequestError
from ponder.engines.openai.abilities import Abilities, abilities_file, digest, load, save
from ponder.engines.openai.requests import Prompt
from ponder.engines.openai.server import Listed, ProbeError, Server
from ponder.engines.openai.templates import Tokenizer
from ponder.engines.openai.ways import Way, ways
from ponder.errors import EngineError
from ponder.types import Prefix, Problem, Step

OPENING = Prefix.root(Problem.ask("Write one short sentence about the sea."))
SEPARATOR = "\n\n"
ALPHABETS = (
    "The 12 apples cost $3.50 each.\n\nSo 3.5 × 12 = 42: naïve; π ≈ 3,14; 数学; математика\n"
)
"""Its token ids tell tokenizers apart."""


async def abilities_of(
    http: HttpClient, model: str, folder: Path | None, template: str | None
) -> Abilities:
    """What `folder` has of the server's abilities, else what probing it finds, which is kept there.

    Raises EngineError when the server cannot be reached, refuses the key or answers no request.
    """
    server = Server(http, model)
    try:
        listed = await server.listed()
        file = abilities_file(folder, http.base_url, model, template) if folder else None
        known = load(file, listed.facts) if file else None
        if known is None:
            known = await discover(server, template, listed)
            if file:
                save(file, known)
    except PassingError as failure:
        told = f"{failure}; what the server can do is not known yet, so try again"
        raise EngineError(told) from failure
    except RequestError as failure:
        raise EngineError(str(failure)) from failure
    return known


async def discover(server: Server, given: str | None, listed: Listed) -> Abilities:
    """Probe `server`, with the caller's own chat template if one is given.

    Raises EngineError when no request at all gets an answer, PassingError where one fails for a
    reason of the moment.
    """
    failures: list[str] = []
    for way in ways(given):
        try:
            found, able = await tried(way, server, given)
        except PassingError:
            raise  # it says nothing of the way, and what is found is kept
        except (ProbeError, RequestError) as failure:
            failures.append(f"{way.mode} by {way.rendering}: {failure}")
        else:
            return await _described(able, found, given, listed, failures, continues=True)
    if given is not None:
        raise EngineError(f"the chat template cannot be used: {'; '.join(failures)}")
    return await _chat_only(server, listed, failures)


async def tried(way: Way, server: Server, given: str | None) -> tuple[Way, Server]:
    """The way and the server, each with what was found of it.

    Raises ProbeError or RequestError when prefixes cannot be handed over this way.
    """
    if way.mode == "ids":
        ids = await Tokenizer(server.http, server.model).ids(ALPHABETS)
        way = way._replace(tokenizer=digest(ids))
    prompts = way.prompts(server.http, server.model, given)
    opening = await prompts.render(OPENING)
    able = await server.with_optional_fields(opening)
    if way.mode == "ids":
        await _check_ids(able, opening)
        return way, able
    if way.mode == "text":
        await _check_unwrapped(able)

    async def count(answer: str) -> int:
        prefix = OPENING.grow(Step(answer)) if answer else OPENING
        return await able.count(await prompts.render(prefix))

    await check_continuing(count)
    return way, able


async def _check_ids(server: Server, opening: Prompt) -> None:
    """The server must read token ids as they are, and stream those that it draws."""
    counted = await server.count(opening)
    if counted != opening.tokens:
        raise ProbeError(f"{opening.tokens} token ids were read as {counted} tokens")
    if not (await server.sample(opening, 4)).tokens.ids:
        raise ProbeError("its stream has no token ids")


async def _check_unwrapped(server: Server) -> None:
    """A server that puts a template around completions would start a turn inside another."""
    counted = await server.count(Prompt.of_text("the"))
    if counted > 3:
        raise ProbeError(f"completions of the bare word 'the' have {counted} prompt tokens")


async def check_continuing(count: Callable[[str], Awaitable[int]]) -> None:
    """The server must go on with a partial answer, and keep the separator at its end.

    `count(answer)` tells the prompt's tokens with a partial answer. " the" is one token for every
    tokenizer, so an answer of k of them makes the prompt exactly k tokens longer, unless a new
    turn is begun, whose header would count. Raises ProbeError.
    """
    without, one, three = await count(""), await count("the"), await count("the the the")
    if (one - without, three - one) != (1, 2):
        raise ProbeError(
            "it begins a new turn after a partial answer: 0, 1 and 3 words of it make prompts of "
            f"{without}, {one} and {three} tokens"
        )
    parted = await count("the" + SEPARATOR)
    if not 0 < parted - one <= len(SEPARATOR):
        raise ProbeError(
            "it trims the separator at the end of a partial answer: the prompt has "
            f"{one} tokens without and {parted} with it"
        )


async def _chat_only(server: Server, listed: Listed, failures: list[str]) -> Abilities:
    """What is left of a server that cannot continue: whole solutions by chat."""
    way = Way("chat", "chat")
    try:
        able = await server.with_optional_fields(Prompt.of_messages(OPENING.messages))
        return await _described(able, way, None, listed, failures, continues=False)
    except PassingError:
        raise
    except RequestError as failure:
        raise EngineError(f"the server answers no request: {failure}") from failure


async def _described(
    server: Server,
    way: Way,
    given: str | None,
    listed: Listed,
    failures: list[str],
    *,
    continues: bool,
) -> Abilities:
    """All other facts, in the way that was found."""
    opening = await way.prompts(server.http, server.model, given).render(OPENING)
    first, again, other = [await server.sample(opening, 12, seed=seed) for seed in (1, 1, 2)]
    stopped = await server.sample(opening, 24, stop=(" ",))
    return Abilities(
        facts=listed.facts,
        parameters=listed.parameters,
        mode=way.mode,
        rendering=way.rendering,
        continues=continues,
        why="; ".join(failures),
        tells_separator=stopped.stopped_by == " ",
        several=await server.honours_n(opening),
        logprobs=bool(first.tokens.logprobs),
        seeds=first.text == again.text != other.text,
        optional=server.optional,
        tokenizer=way.tokenizer,
        slots=await server.slots(),
    )
