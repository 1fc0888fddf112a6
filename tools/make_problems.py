"""Makes the built-in grade-school problems: one file to tune on, another to report on.

The same templates and seed give the same files, byte for byte. No two problems, in one file or
across both, share a template and its numbers.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Final, NamedTuple

from problem_templates import FRIENDS, ONE_STEP, PEOPLE, THREE_STEPS, TWO_STEPS, Template

FOLDER: Final = Path(__file__).resolve().parent.parent / "src" / "ponder" / "data"
SEED: Final = 20240229
GREATEST: Final = 100
"""No result, intermediate or final, is larger."""
SIZES: Final = {"tune": {1: 24, 2: 104, 3: 32}, "report": {1: 30, 2: 130, 3: 40}}
"""Problems by set and by number of steps."""
TEMPLATES: Final = {1: ONE_STEP, 2: TWO_STEPS, 3: THREE_STEPS}


class Instance(NamedTuple):
    """One problem without its wording's people and things."""

    template: Template
    numbers: dict[str, int]
    answer: int
    level: int
    """Number of steps."""


def main() -> None:
    """Write both files."""
    for name, rows in make_sets(SEED).items():
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (FOLDER / f"grade-school-{name}.jsonl").write_text("".join(lines), "utf-8")


def make_sets(seed: int) -> dict[str, list[dict[str, object]]]:
    """The rows of each set, in random order."""
    random = Random(seed)  # noqa: S311  (nothing here is secret)
    streams = {level: _instances(TEMPLATES[level], random) for level in TEMPLATES}
    sets: dict[str, list[dict[str, object]]] = {}
    for name, sizes in SIZES.items():
        drawn = [next(streams[level]) for level, size in sizes.items() for _ in range(size)]
        random.shuffle(drawn)
        sets[name] = [
            {
                "id": f"{name}-{number:03}",
                "problem": _word(instance, random),
                "answer": instance.answer,
                "level": instance.level,
            }
            for number, instance in enumerate(drawn, 1)
        ]
    return sets


def _instances(templates: Sequence[Template], random: Random) -> Iterator[Instance]:
    """New instances without end, the templates in turn."""
    seen: set[tuple[object, ...]] = set()
    while True:
        for template in templates:
            instance = _draw(template, random)
            while _key(instance) in seen:
                instance = _draw(template, random)
            seen.add(_key(instance))
            yield instance


def _key(instance: Instance) -> tuple[object, ...]:
    return (instance.template.text, *instance.numbers.values())


def _draw(template: Template, random: Random) -> Instance:
    """Random numbers with which every step is a whole number from 1 to GREATEST."""
    while True:
        numbers = {letter: random.randint(*span) for letter, span in template.numbers.items()}
        steps = [Fraction(step) for step in template.steps(**numbers)]
        if all(step.denominator == 1 and 1 <= step <= GREATEST for step in steps):
            return Instance(template, numbers, int(steps[-1]), len(steps))


def _word(instance: Instance, random: Random) -> str:
    name, he, him = random.choice(PEOPLE)
    words = {
        "name": name,
        "he": he,
        "he_": he.capitalize(),
        "him": him,
        "friend": random.choice(FRIENDS),
        "things": random.choice(instance.template.things),
    }
    return instance.template.text.format(**words, **instance.numbers)


if __name__ == "__main__":
    main()
