"""Reward models' input: text and ids by family, against each family's own definition."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="the extra `verifiers` is not installed")
pytest.importorskip("transformers", reason="the extra `verifiers` is not installed")

from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerBase

from ponder.errors import UsageError, VerifierError
from ponder.search.steps import split
from ponder.types import Completion, Prefix, Problem
from ponder.verifiers.reward_families import family_names, family_of, load_family
from ponder.verifiers.reward_family import Family
from ponder.verifiers.reward_formats import Reading, RewardFormat, text_of
from ponder.verifiers.reward_layouts import RewardLayout
from tests.reward_definitions import math_shepherd_input, qwen_prm_input, reasoneval_input
from tests.reward_tokenizers import llama, mistral, qwen, qwen_of

REASONEVAL = Path(__file__).parent.parent / "examples" / "reasoneval.toml"
TOKENIZERS = {
    "math-shepherd": mistral,
    "qwen2.5-math-prm": lambda: qwen("<extra_0>"),
    "rlhflow": llama,
    "skywork": lambda: qwen(bos="<|endoftext|>"),
    "trl": qwen,
    "trl-joined": qwen,
    "outcome": llama,
    str(REASONEVAL): mistral,
}
INPUTS = {
    "math-shepherd": math_shepherd_input,
    "qwen2.5-math-prm": qwen_prm_input,
    str(REASONEVAL): reasoneval_input,
}
"""By definition, of the families whose scores of examples are published."""
STEPS = st.lists(st.sampled_from(["", "\n\n", "A = 2.\n\n", " ки\n", "+ <extra_0>", "é 🧮 \ud800"]))


def family_id(family: str) -> str:
    return Path(family).stem


@cache
def opened(family: str) -> RewardFormat:
    return RewardFormat(load_family(family), TOKENIZERS[family]())


def tokens(family: str, question: str, *steps: str) -> list[str]:
    """What the last step is read after, as the vocabulary has it."""
    reading = opened(family).read(question, steps)
    place = reading.places[-1]
    assert place
    ids = reading.sequences[place.sequence][: place.token + 1]
    return list(TOKENIZERS[family]().convert_ids_to_tokens(list(ids)))


def paths(reading: Reading) -> list[Sequence[int] | None]:
    """What each score is read after."""
    return [
        None if place is None else reading.sequences[place.sequence][: place.token + 1]
        for place in reading.places
    ]


@pytest.mark.parametrize("family", TOKENIZERS, ids=family_id)
@given(steps=STEPS, more=STEPS)
def test_a_step_is_read_alike_whether_or_not_steps_follow(
    family: str, steps: list[str], more: list[str]
) -> None:
    if load_family(family).scores == "solution":
        steps, more = [*steps, *more], []
    short = opened(family).read("What is 2?", steps)
    whole = opened(family).read("What is 2?", [*steps, *more])
    assert paths(whole)[: len(short.places)] == paths(short)
    for reading, count in ((short, len(steps)), (whole, len(steps) + len(more))):
        assert len(reading.tokens) in (0, count + 1)
        assert all(number >= 0 for number in reading.tokens)


@pytest.mark.parametrize("family", TOKENIZERS, ids=family_id)
@given(steps=STEPS)
def test_the_tokens_of_all_parts_are_the_tokens_computed(family: str, steps: list[str]) -> None:
    reading = opened(family).read("What is 2?", steps)
    tree = {tuple(ids[: end + 1]) for ids in reading.sequences for end in range(len(ids))}
    assert sum(reading.tokens) == len(tree)


@pytest.mark.parametrize("family", sorted(set(TOKENIZERS) - {"outcome"}), ids=family_id)
def test_empty_steps_have_no_score_of_their_own(family: str) -> None:
    reading = opened(family).read("What?", ["\n\n", "A.\n\n", "", "B.\n\n"])
    bare = opened(family).read("What?", ["A.\n\n", "B.\n\n"])
    assert [place is None for place in reading.places] == [True, False, True, False]
    assert reading.sequences == bare.sequences
    assert opened(family).read("What?", ["", " \n"]) == Reading((), (None, None), ())


def test_math_shepherd_reads_at_the_tag_after_a_numbered_step() -> None:
    ids = tokens("math-shepherd", "Why?", "so ки b\n\n", "Step 2: so.\n\n")
    steps = "▁Step▁1:▁so▁ки▁b▁ки<0x0A>Step▁2:▁so.▁ки"
    assert "".join(ids) == f"<s>▁<0x57>hy<0x3F>{steps}"


def test_qwen_reads_at_the_marker_in_the_chat_template() -> None:
    ids = tokens("qwen2.5-math-prm", "Why?", "A.\n\n", "B.\n\n")
    text = "".join(ids).replace("Ġ", " ").replace("Ċ", "\n")
    assert text == (
        "<|im_start|>system\nPlease reason step by step, and put your final answer within "
        "\\boxed{}.<|im_end|>\n<|im_start|>user\nWhy?<|im_end|>\n"
        "<|im_start|>assistant\nA.<extra_0>B.<extra_0>"
    )


def test_rlhflow_reads_the_token_before_each_plus() -> None:
    ids = tokens("rlhflow", "Why?", " A.\n\n", "+ B.\n\n")
    turn = "<|start_header_id|>{}<|end_header_id|>\n\n".format
    assert "".join(ids).replace("Ġ", " ").replace("Ċ", "\n") == (
        f"<|begin_of_text|>{turn('user')}Why? A.<|eot_id|>{turn('assistant')}+<|eot_id|>"
        f"{turn('user')}+ B.<|eot_id|>{turn('assistant')}"
    )


def test_skywork_and_trl_keep_a_separator_that_joined_text_merges() -> None:
    assert tokens("skywork", "Q", "A.\n\n") == ["<|endoftext|>", "Q", "Ċ", "A", ".", "Ċ"]
    assert tokens("trl", "Q", "A.\n\n") == ["Q", "A", ".", "Ċ"]
    assert tokens("trl-joined", "Q", "A.\n\n") == ["Q", "ĊĊ", "A", ".ĊĊ"]


def test_steps_are_read_without_their_separator_and_solutions_as_they_are() -> None:
    prefix = Prefix.root(Problem.ask("Q"))
    for step in split(Completion(0, "A. ###\nB. ###\n", "eos"), " ###\n"):
        prefix = prefix.grow(step)
    for family, steps in (
        ("math-shepherd", ["A.", "B."]),
        ("trl", ["A.", "B."]),
        ("outcome", ["A. ###\n", "B. ###\n"]),
    ):
        assert opened(family).read_prefix(prefix) == opened(family).read("Q", steps)


def test_an_outcome_model_reads_the_end_of_the_conversation() -> None:
    ids = tokens("outcome", "Why?", "A.\n\n", "B.\n\n")
    assert ids[-1] == "<|eot_id|>"
    assert "".join(ids).endswith("ĊĊA.ĊĊB.<|eot_id|>")


def test_a_template_that_begins_answers_in_another_way_suits_outcome_models_alone() -> None:
    thinking = llama()
    assert isinstance(thinking.chat_template, str)
    thinking.chat_template += "{% if add_generation_prompt %}<think>\n{% endif %}"
    outcome = RewardFormat(load_family("outcome"), thinking)
    assert outcome.read("Q", ["A."]).sequences == opened("outcome").read("Q", ["A."]).sequences
    with pytest.raises(VerifierError, match="writes an answer in another way than it begins one"):
        RewardFormat(load_family("rlhflow"), thinking)


def test_a_label_has_the_blank_before_it() -> None:
    """Whose own text has none where a tokenizer takes the blank off a text's beginning."""
    for tokenizer, pieces in ((mistral(), ("▁+", "▁-")), (llama(), ("+", "-"))):
        vocabulary = tokenizer.get_vocab()
        found = [text_of(tokenizer, vocabulary[piece]) for piece in pieces]
        assert found == [piece.replace("▁", " ") for piece in pieces]
    assert mistral().decode([mistral().get_vocab()["▁+"]]) == "+"


def test_a_user_family_leaves_its_markers_out_and_reads_the_last_token_but_one() -> None:
    ids = tokens(str(REASONEVAL), "Why?", "x is 42.", "x is.")
    assert "".join(ids).endswith("step▁by▁step.<0x0A>x▁is▁42.x▁is")
    assert ids.count("<s>") == 1


def published(test_data: Path) -> list[tuple[str, dict[str, Any]]]:
    """Each published example, with its family."""
    lines = (test_data / "prm_examples" / "prm_card_examples.jsonl").read_text().splitlines()
    return [(published_family(example["model"]), example) for example in map(json.loads, lines)]


def published_family(model: str) -> str:
    return str(REASONEVAL) if model.startswith("GAIR/ReasonEval") else family_of(model).name


def as_published(example: dict[str, Any], tokenizer: PreTrainedTokenizerBase) -> str:
    """The text of an example's input, without what a chat template ends it with."""
    question, steps = example["problem"], example["steps"]
    if "raw_output" in example:
        return f"{question} {example['raw_output']}"
    if "system" not in example:
        prompt = f"Question:\n{question}\nAnswer:\nLet's think step by step.\n"
        return prompt + "".join(f"{step}{tokenizer.pad_token}" for step in steps)
    turns = [
        {"role": "system", "content": example["system"]},
        {"role": "user", "content": question},
        {"role": "assistant", "content": "".join(f"{step}<extra_0>" for step in steps)},
    ]
    return str(tokenizer.apply_chat_template(turns, tokenize=False)).removesuffix("<|im_end|>\n")


def test_published_examples_are_written_as_published(test_data: Path) -> None:
    examples = published(test_data)
    families = Counter(family for family, _ in examples)
    assert families == {"math-shepherd": 2, str(REASONEVAL): 2, "qwen2.5-math-prm": 1}
    for family, example in examples:
        tokenizer = TOKENIZERS[family]()
        layout = RewardLayout(load_family(family), tokenizer, "the test's tokenizer")
        text = layout.text(example["problem"], example["steps"])
        assert text == as_published(example, tokenizer)


def check_ids(family: str, tokenizer: PreTrainedTokenizerBase, example: dict[str, Any]) -> None:
    """The same tokens as by the family's definition, up to each step's score."""
    question, steps = example["problem"], example["steps"]
    ids, ends = INPUTS[family](tokenizer, question, steps)
    written = RewardFormat(load_family(family), tokenizer)
    reading = written.read(question, [f"{step}\n\n" for step in steps])
    assert [list(path or ()) for path in paths(reading)] == [ids[: end + 1] for end in ends]
    assert len(ends) == len(example["expected_step_scores"])


def test_published_examples_are_the_tokens_of_their_definition(test_data: Path) -> None:
    """Of ReasonEval's two the 7B's: the 34B's differs in where it is read alone."""
    examples = [(f, e) for f, e in published(test_data) if not e["model"].endswith("-34B")]
    assert len(examples) == 4
    for family, example in examples:
        check_ids(family, TOKENIZERS[family](), example)


@pytest.fixture(scope="module")
def qwen_checkpoint() -> PreTrainedTokenizerBase:
    """The tokenizer of the model that PONDER_VLLM_MODEL names, where that is a Qwen2.5."""
    named = os.environ.get("PONDER_VLLM_MODEL")
    tokenizer = qwen_of(Path(named)) if named else None
    if tokenizer is None or tokenizer.convert_tokens_to_ids("<extra_0>") != 151651:
        pytest.skip("PONDER_VLLM_MODEL names no folder of a Qwen2.5 model")
    return tokenizer


def test_the_published_example_of_qwen_is_the_tokens_of_its_checkpoint(
    test_data: Path, qwen_checkpoint: PreTrainedTokenizerBase
) -> None:
    family = "qwen2.5-math-prm"
    (example,) = [example for found, example in published(test_data) if found == family]
    check_ids(family, qwen_checkpoint, example)
    layout = RewardLayout(load_family(family), qwen_checkpoint, "the checkpoint's tokenizer")
    text = layout.text(example["problem"], example["steps"])
    assert text == as_published(example, qwen_checkpoint)


def test_a_marker_of_other_tokens_is_refused_naming_both() -> None:
    with pytest.raises(VerifierError, match=r"' ки' as 1 known token.* makes 5 of it: \['▁', '<0x"):
        RewardFormat(load_family("math-shepherd"), mistral(tag=False))
    with pytest.raises(VerifierError, match="'<extra_0>' as 1 known token"):
        RewardFormat(load_family("qwen2.5-math-prm"), qwen())


def test_a_tokenizer_without_what_the_family_needs_is_refused() -> None:
    with pytest.raises(VerifierError, match=r"holds \{bos\}, and the tokenizer has no bos"):
        RewardFormat(load_family("skywork"), qwen())
    with pytest.raises(VerifierError, match="cannot write the conversation"):
        RewardFormat(load_family("outcome"), mistral())
    shepherd = load_family("math-shepherd").model_dump()
    shepherd["read"]["labels"] = ("▁yes", "▁no")
    with pytest.raises(VerifierError, match="no token '▁yes'"):
        RewardFormat(Family.model_validate(shepherd), mistral()).label_ids()


def test_a_step_merged_with_its_marker_is_refused() -> None:
    family = load_family("trl-joined").model_dump()
    family["input"]["marker_tokens"] = 1
    strict = RewardFormat(Family.model_validate(family), qwen())
    assert strict.read("Q", ["A"]).places
    with pytest.raises(VerifierError, match=r"merges step 2 with the marker '\\n\\n'"):
        strict.read("Q", ["A", "B."])


def test_a_family_may_keep_empty_steps() -> None:
    family = load_family("trl").model_dump()
    family["input"]["empty"] = "keep"
    reading = RewardFormat(Family.model_validate(family), qwen()).read("Q", ["A", "\n\n", "B"])
    assert [len(ids) for ids in reading.sequences] == [6]
    assert [place and place.token for place in reading.places] == [2, 3, 5]
    assert reading.tokens == (1, 2, 1, 2)


def test_a_score_needs_a_token_to_be_read_at() -> None:
    family = load_family("trl").model_dump()
    family["read"]["offset"] = -9
    with pytest.raises(VerifierError, match="step 1 has no token"):
        RewardFormat(Family.model_validate(family), qwen()).read("Q", ["A"])


def test_families_are_found_by_name_then_by_config(tmp_path: Path) -> None:
    names = {
        "peiyi9979/math-shepherd-mistral-7b-prm": "math-shepherd",
        "RLHFlow/Llama3.1-8B-PRM-Mistral-Data": "rlhflow",
        "/models/llama3.1-8b-prm-deepseek-data": "rlhflow",
        "Skywork/Skywork-o1-Open-PRM-Qwen-2.5-1.5B": "skywork",
        "Qwen/Qwen2.5-Math-PRM-72B": "qwen2.5-math-prm",
        "plaguss/Qwen2.5-Math-7B-Instruct-PRM-0.2": "trl-joined",
        "Qwen2.5-Math-7B-Instruct-PRM-0.2": "trl-joined",
    }
    assert {model: family_of(model).name for model in names} == names
    configs = {
        "Qwen2ForProcessRewardModel": "qwen2.5-math-prm",
        "Qwen2ForPrmModel": "skywork",
        "Qwen2ForTokenClassification": "trl",
    }
    for architecture, name in configs.items():
        (tmp_path / "config.json").write_text(json.dumps({"architectures": [architecture]}))
        assert family_of(str(tmp_path)).name == name
    one = {"architectures": ["LlamaForSequenceClassification"], "id2label": {"0": "LABEL_0"}}
    (tmp_path / "config.json").write_text(json.dumps(one))
    assert family_of(str(tmp_path)).name == "outcome"
    (tmp_path / "config.json").write_text(json.dumps({"architectures": ["LlamaForCausalLM"]}))
    with pytest.raises(UsageError, match=r"no family .* one of math-shepherd, outcome, .* TOML"):
        family_of(str(tmp_path))


def test_a_config_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(UsageError, match=r"cannot read .*config.json"):
        family_of(str(tmp_path))


def test_every_family_that_comes_along_is_tested() -> None:
    assert set(family_names()) <= set(TOKENIZERS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("estimates = ", "cannot read the family"),
        ("like = 'none'", "`like` must be one of math-shepherd"),
        ("like = 'trl'\nmodel = 'x'", "`model` is unknown"),
        ("like = 'trl'\n[input]\nlayout = 'html'", "`input.layout` should be 'text', 'chat' or"),
        ("like = 'trl'\n[read]\npositive = []", "needs `positive`"),
        ("like = 'trl'\n[read]\nhead = 'labels'", "needs two different `labels`"),
        ("like = 'trl'\n[read]\nhigh = 2.0", "belong to a `value`"),
        ("like = 'trl'\n[input]\ntokens = 'fenced'\nmarker = ''", "fenced needs a `marker`"),
        ("like = 'trl'\n[input]\nnumbering = 'Step'", "must hold {number}, got 'Step'"),
        ("like = 'outcome'\n[read]\nsquash = 'none'\nlow = 2", "`low` must be below"),
        ("like = 'outcome'\n[input]\nmarker = '#'", "without `marker`"),
        ("like = 'rlhflow'\n[input]\ntokens = 'pieces'", "a dialogue needs"),
        ("like = 'trl'\ninput = 'x'", "`input` should be a valid dictionary"),
    ],
)
def test_a_wrong_family_is_refused_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=message) as caught:
        load_family(path)
    assert len(str(caught.value).splitlines()) == 1


def test_a_family_of_ones_own_changes_what_it_names(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('like = "trl"\n[input]\nmarker = "\\n\\n"\n')
    family = load_family(path)
    assert (family.name, family.input.marker, family.input.tokens) == ("mine", "\n\n", "pieces")
    assert family.architectures == ()
    assert family.digest != load_family("trl").digest
    with pytest.raises(UsageError, match=r"unknown family 'none.toml': use one of"):
        load_family("none.toml")
