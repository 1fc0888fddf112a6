"""The `vllm` engine as far as it goes without vLLM: options, recipes, what it stops at."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any

import pytest

from ponder.backends.drafting import Draft, Ending
from ponder.backends.vocabulary import Vocabulary
from ponder.engines.scripted import ScriptedEngine
from ponder.engines.vllm import VllmEngine, VllmOptions
from ponder.engines.vllm.model import LoadedModel
from ponder.engines.vllm.sample import Following, Prompt, told
from ponder.engines.vllm.stops import MOST, SeparatorTokens
from ponder.errors import EngineError, MissingExtraError, UsageError
from ponder.recipes import Recipe
from ponder.recipes.toml import recipe_toml
from ponder.recipes.vllm import vllm_options
from ponder.types import Sampling

PIECES = [b"<end>", b"a", b"\n", b"\n\n", b".\n\n", b"\n\nb", b" c", b"\n\n\n"]
END, A, LINE, BLANK, STOPPED, BEGUN = range(6)
VOCABULARY = Vocabulary(PIECES, control=[END])


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"tensor_parallel": 0}, "`tensor_parallel` must be a whole number of at least 1, got 0"),
        ({"max_model_len": 1.5}, "`max_model_len` must be a whole number of at least 1, got 1.5"),
        ({"memory_share": 1.2}, "`memory_share` must be over 0 and at most 1, got 1.2"),
        ({"cache_gb": 0}, "`cache_gb` must be over 0, got 0"),
    ],
)
def test_an_option_that_cannot_be_is_named(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        VllmOptions(**changed)


def test_a_recipe_gives_the_options_and_keeps_them() -> None:
    recipe = Recipe()
    assert "vllm" not in recipe_toml(recipe), "runs of other engines are not of another study"
    for key, value in {
        "vllm.dtype": "bfloat16",
        "vllm.max_model_len": 4096,
        "host.vllm.tensor_parallel": 2,
        "host.slots": 48,
    }.items():
        recipe = recipe.with_key(key, value)
    assert vllm_options(recipe) == VllmOptions(
        dtype="bfloat16", max_model_len=4096, tensor_parallel=2, slots=48
    )
    arguments = vllm_options(recipe).arguments("m", on_cpu=True)
    assert arguments["block_size"] == 32
    assert arguments["enable_prefix_caching"] is True
    assert (arguments["tensor_parallel_size"], arguments["max_num_seqs"]) == (2, 48)


@pytest.mark.parametrize(("temperature", "told"), [(2.5, "2.5"), (float("inf"), "inf")])
def test_a_temperature_that_vllm_refuses_is_named_before_loading(
    temperature: float, told: str
) -> None:
    asked = {"sampling": {"temperature": temperature}}
    with pytest.raises(UsageError, match=rf"`sampling.temperature`.*at most 2.*got {told}"):
        vllm_options(Recipe.checked({"study": asked}))
    assert vllm_options(Recipe.checked({"study": {"sampling": {"temperature": 2}}}))


def shares(engine: float, knobs: dict[str, Any], verifier: str = "reward-model") -> VllmOptions:
    study = {"verifier": verifier, "verifier_knobs": knobs}
    host = {"vllm": {"memory_share": engine, "tensor_parallel": 2}}
    return vllm_options(Recipe.checked({"study": study, "host": host}))


@pytest.mark.parametrize(
    "knobs",
    [
        {"device": "cpu", "memory_share": 1},
        {"device": "cuda:2", "memory_share": 1},
        {"device": "cuda:1", "memory_share": 0.3},
        {},
    ],
    ids=lambda knobs: str(knobs.get("device")),
)
def test_shares_that_fit_are_taken(knobs: dict[str, Any]) -> None:
    assert shares(0.7, knobs).memory_share == 0.7


@pytest.mark.parametrize("device", [None, "cuda", "cuda:0"])
def test_shares_of_one_gpu_are_added_up(device: str | None) -> None:
    knobs = {"memory_share": 0.4} | ({"device": device} if device else {})
    said = r"GPU 0 is asked for 0.7 \+ 0.4 = 1.1 of its memory"
    with pytest.raises(UsageError, match=said):
        shares(0.7, knobs)


def test_shares_of_a_mix_are_added_up() -> None:
    part = {"weight": 1, "memory_share": 0.2, "device": "cuda:1"}
    parts = {"arithmetic": 1.0, "reward-model": part, "value-head": part}
    with pytest.raises(UsageError, match=r"GPU 1 is asked for 0.7 \+ 0.2 \+ 0.2 = 1.1"):
        shares(0.7, parts, "mix")


def test_shares_of_a_gpu_without_the_engine_are_added_up_too() -> None:
    part = {"weight": 1, "memory_share": 0.7, "device": "cuda:2"}
    with pytest.raises(UsageError, match=r"GPU 2 is asked for 0.7 \+ 0.7 = 1.4"):
        shares(0.7, {"reward-model": part, "value-head": part}, "mix")


def test_a_verifier_on_all_gpus_is_counted_on_each() -> None:
    """`auto` spreads a model, and its share holds for every GPU."""
    spread = {"weight": 1, "memory_share": 0.2, "device": "auto"}
    second = {"weight": 1, "memory_share": 0.2, "device": "cuda:1"}
    with pytest.raises(UsageError, match=r"GPU 1 is asked for 0.7 \+ 0.2 \+ 0.2 = 1.1"):
        shares(0.7, {"reward-model": spread, "value-head": second}, "mix")
    beyond = {**second, "memory_share": 0.9, "device": "cuda:2"}
    with pytest.raises(UsageError, match=r"GPU 2 is asked for 0.2 \+ 0.9 = 1.1"):
        shares(0.7, {"reward-model": spread, "value-head": beyond}, "mix")
    assert shares(0.7, {"memory_share": 0.3, "device": "auto"}).memory_share == 0.7


def beside(others: float, **knobs: object) -> VllmOptions:
    """An engine with 0.6 of GPU 0, and a verifier that a server runs unless it has knobs."""
    study = {"verifier": "reward-model" if knobs else "reward-server", "verifier_knobs": knobs}
    host = {"vllm": {"memory_share": 0.6, "others_share": others}}
    return vllm_options(Recipe.checked({"study": study, "host": host}))


def test_what_other_programs_use_of_the_engines_gpus_is_added() -> None:
    assert beside(0.4).memory_share == 0.6
    with pytest.raises(
        UsageError, match=r"0.6 \+ 0.5 = 1.1 of its memory.*host.vllm.others_share"
    ) as told:
        beside(0.5)
    assert str(told.value).endswith("lower a `memory_share`"), "no verifier is on it"
    with pytest.raises(UsageError, match=r"GPU 0 is asked for 0.6 \+ 0.2 \+ 0.3 = 1.1"):
        beside(0.2, memory_share=0.3)
    assert beside(0.2, memory_share=0.9, device="cuda:1"), "a GPU without the engine"


@pytest.mark.parametrize("share", [-0.1, 1])
def test_a_share_of_others_that_cannot_be_is_named(share: float) -> None:
    with pytest.raises(UsageError, match=r"host.vllm.others_share"):
        beside(share)


def test_an_engine_with_a_cache_of_its_own_size_shares_no_gpu() -> None:
    """vLLM keeps to no share then."""
    host = {"vllm": {"memory_share": 0.4, "cache_gb": 8.0}}
    study: dict[str, Any] = {"verifier": "reward-model", "verifier_knobs": {"memory_share": 0.5}}
    with pytest.raises(UsageError, match=r"shares GPU 0.*`cache_gb`, 8: leave out"):
        vllm_options(Recipe.checked({"study": study, "host": host}))
    study["verifier_knobs"]["device"] = "cuda:1"
    assert vllm_options(Recipe.checked({"study": study, "host": host})).cache_gb == 8


@pytest.mark.parametrize(
    ("verifier", "knobs"),
    [
        ("reward-model", {}),
        ("reward-model", {"device": "auto"}),
        ("value-head", {"device": "cuda"}),
        ("value-head", {"model": "Qwen/Qwen3-0.6B"}),
    ],
)
def test_a_verifier_on_the_engines_gpu_states_its_share(
    monkeypatch: pytest.MonkeyPatch, verifier: str, knobs: dict[str, Any]
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    with pytest.raises(UsageError, match=f"{verifier} shares GPU 0 with the engine.*takes 0.7"):
        shares(0.7, knobs, verifier)
    assert shares(0.7, {**knobs, "memory_share": 0.3}, verifier).memory_share == 0.7
    with pytest.raises(UsageError, match="shares GPU 0"):
        shares(0.7, {"arithmetic": 1.0, verifier: {**knobs, "weight": 1}}, "mix")


def test_a_head_on_openvino_takes_nothing_of_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert shares(0.9, {}, "value-head").memory_share == 0.9


@pytest.mark.skipif(find_spec("vllm") is not None, reason="vllm is installed")
async def test_a_missing_vllm_names_the_install_command() -> None:
    with pytest.raises(MissingExtraError, match=r"pip install 'ponder\[vllm\]'"):
        await VllmEngine.open("somewhere")


async def test_a_missing_model_is_one_line() -> None:
    with pytest.raises(UsageError, match="needs a `model`"):
        await VllmEngine.open(None)


def test_vllm_stops_at_every_token_that_holds_the_separator() -> None:
    stops = SeparatorTokens(VOCABULARY)
    assert set(stops.of("\n\n")) == {BLANK, STOPPED, BEGUN, 7}
    assert stops.of(None) == ()


def test_of_very_many_tokens_the_shortest_are_stopped_at() -> None:
    many = Vocabulary([b"\n" * (1 + MOST - at) for at in range(MOST)] + [b"\n", b"x"])
    found = SeparatorTokens(many).of("\n")
    assert len(found) == MOST <= 64, "vLLM looks through them for every token"
    assert MOST in found
    assert 0 not in found


@pytest.mark.parametrize(
    ("limit", "room", "ended"),
    [(8, 3, "length"), (3, 3, "length"), (3, 4, "step_length"), (3, 8, "step_length")],
)
def test_a_sample_ends_where_the_context_does(limit: int, room: int, ended: str) -> None:
    asked = Sampling(max_tokens=20, max_step_tokens=limit)
    ending = Ending.of(asked, {END}).after(92, 92 + room)
    assert (ending.limit, ending.at_limit) == (3, ended)


@pytest.mark.parametrize(("room", "ended"), [(3, "length"), (4, "separator")])
def test_a_step_that_fills_the_context_is_the_last_whatever_it_ends_with(
    room: int, ended: str
) -> None:
    asked = Sampling(max_tokens=20, max_step_tokens=3, separator="\n\n")
    draft = Draft(VOCABULARY, Ending.of(asked, {END}).after(92, 92 + room))
    assert [draft.add(token, 0.0) for token in (A, A, BLANK)] == [None, None, ended]


def test_a_prompt_as_long_as_the_context_is_refused() -> None:
    with pytest.raises(EngineError, match="a prompt of 92 tokens leaves no room"):
        Ending.of(Sampling(), {END}).after(92, 92)


async def streamed(*pieces: list[int]) -> AsyncGenerator[Any, None]:
    """What vLLM would send: tokens by the handful, and a last word."""
    for at, ids in enumerate(pieces):
        logprobs = [{token: SimpleNamespace(logprob=-float(token))} for token in ids]
        last = "length" if at == len(pieces) - 1 else None
        sample = SimpleNamespace(token_ids=ids, logprobs=logprobs, finish_reason=last)
        yield SimpleNamespace(outputs=[sample], num_cached_tokens=None if at else 32)


async def followed(*pieces: list[int], limit: int = 9) -> tuple[Following, str | None]:
    ending = Ending.of(Sampling(max_tokens=limit, separator="\n\n"), {END})
    prompt = Prompt((A,) * 40, ending, (), b"", retokenised=False)
    following = Following(3, prompt, Draft(VOCABULARY, ending))
    return following, await following.to_its_end(streamed(*pieces))


async def test_a_separator_over_two_tokens_ends_a_sample_and_the_rest_is_thrown_away() -> None:
    following, error = await followed([A, LINE], [LINE, A, A], [A])
    found = following.completion("t", error)
    assert (found.text, found.ended, found.token_ids) == ("a\n\n", "separator", (A, LINE, LINE))
    assert (found.logprobs, found.offsets) == ((-1.0, -2.0, -2.0), (1, 2, 3))
    assert found.usage == (40, 32, 3)
    assert following.overdrawn == 2, "what came in the same piece; the next was not read"


async def test_an_end_of_text_is_counted_and_not_shown() -> None:
    following, error = await followed([A], [END])
    found = following.completion("t", error)
    assert (found.text, found.ended, found.token_ids) == ("a", "eos", (A,))
    assert found.usage.generated == 2


async def test_a_sample_that_vllm_ends_early_is_a_failure() -> None:
    following, error = await followed([A], [A])
    found = following.completion("t", error)
    assert (found.ended, found.text, found.token_ids) == ("aborted", "aa", None)
    assert found.error == "vLLM ended the sample before its end (length)"
    assert found.usage.generated == 2


def test_a_failure_without_words_tells_its_cause_or_its_kind() -> None:
    silent = RuntimeError()
    assert told(silent) == "RuntimeError"
    silent.__cause__ = ValueError("no room\nat all")
    assert told(silent) == "no room"
    assert told(ValueError("too long")) == "too long"


@pytest.mark.parametrize(("block", "warns"), [(32, False), (64, True)])
async def test_blocks_that_share_little_are_told(
    block: int, warns: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    text: Any = SimpleNamespace(vocabulary=VOCABULARY)
    capabilities = ScriptedEngine(lambda _prefix, _seed: "").capabilities
    known = LoadedModel(text, frozenset(), 100, 1, block, capabilities)
    for name, stands_in in {
        "check_installed": lambda: None,
        "load": lambda _model, _options: None,
        "describe": lambda _llm, _model, _options: known,
    }.items():
        monkeypatch.setattr(f"ponder.engines.vllm.engine.{name}", stands_in)
    lines: list[str] = []
    await VllmEngine.open("m", announce=lines.append)
    assert any("in blocks of 64 tokens" in line for line in lines) is warns
