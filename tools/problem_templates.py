"""The templates that the built-in grade-school problems are made from.

In a text, `{name}`, `{he}`, `{he_}` (a sentence's first word), `{him}` and `{friend}` are people,
`{things}` is one of the template's objects, and single letters are its numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Final


@dataclass(frozen=True, slots=True)
class Template:
    """One kind of problem."""

    text: str
    steps: Callable[..., tuple[int | Fraction, ...]]
    """Every intermediate result of its numbers, given by letter."""
    numbers: Mapping[str, tuple[int, int]]
    """Least and greatest value of each number."""
    things: tuple[str, ...] = ("",)


PEOPLE: Final = tuple(
    (name, "he", "him") for name in ("Ali", "Ben", "Carlos", "Finn", "Jonas", "Leo", "Omar", "Sam")
) + tuple(
    (name, "she", "her") for name in ("Amy", "Dana", "Eva", "Ida", "Lily", "Mia", "Nora", "Zoe")
)  # fmt: skip
FRIENDS: Final = ("Paul", "Rosa", "Tim", "Vera")

SMALL: Final = (2, 5)
DIGIT: Final = (2, 6)
TEEN: Final = (5, 12)

_TOYS: Final = ("cards", "marbles", "stickers", "coins", "shells")
_FOOD: Final = ("apples", "cookies", "pears", "muffins", "plums")

ONE_STEP: Final = (
    Template(
        "{name} has {a} {things}. {friend} gives {him} {b} more. "
        "How many {things} does {name} have now?",
        lambda a, b: (a + b,),
        {"a": TEEN, "b": DIGIT},
        _TOYS,
    ),
    Template(
        "{name} bakes {a} {things} and eats {b} of them. How many {things} are left?",
        lambda a, b: (a - b,),
        {"a": TEEN, "b": DIGIT},
        ("cookies", "muffins", "rolls", "pies"),
    ),
    Template(
        "{name} fills {a} bags with {b} {things} each. How many {things} does {he} use?",
        lambda a, b: (a * b,),
        {"a": DIGIT, "b": DIGIT},
        ("onions", "lemons", "nuts", "potatoes"),
    ),
    Template(
        "{name} shares {a} {things} equally among {b} friends. "
        "How many {things} does each friend get?",
        lambda a, b: (Fraction(a, b),),
        {"a": (4, 20), "b": SMALL},
        _FOOD,
    ),
    Template(
        "A pen costs {a} dollars. {name} buys {b} pens. How many dollars does {he} pay?",
        lambda a, b: (a * b,),
        {"a": SMALL, "b": DIGIT},
    ),
)

TWO_STEPS: Final = (
    Template(
        "{name} buys {a} packs of {b} {things} and gives {c} of them away. "
        "How many {things} does {name} have left?",
        lambda a, b, c: (a * b, a * b - c),
        {"a": DIGIT, "b": SMALL, "c": DIGIT},
        _TOYS,
    ),
    Template(
        "{name} has {a} {things}. {he_} finds {b} more and then loses {c}. "
        "How many {things} does {he} have now?",
        lambda a, b, c: (a + b, a + b - c),
        {"a": TEEN, "b": DIGIT, "c": DIGIT},
        ("marbles", "buttons", "coins", "keys"),
    ),
    Template(
        "There are {a} red {things} and {b} blue {things} in a box. {name} takes out {c} of them. "
        "How many {things} are still in the box?",
        lambda a, b, c: (a + b, a + b - c),
        {"a": TEEN, "b": DIGIT, "c": DIGIT},
        ("balls", "pencils", "blocks", "ribbons"),
    ),
    Template(
        "{name} picks {a} {things} in the morning and {b} in the afternoon. "
        "{he_} packs them into bags of {c}. How many bags does {he} fill?",
        lambda a, b, c: (a + b, Fraction(a + b, c)),
        {"a": TEEN, "b": DIGIT, "c": SMALL},
        ("apples", "pears", "lemons", "peppers"),
    ),
    Template(
        "{name} has {a} {things}. {he_} eats {b} and shares the rest equally among {c} friends. "
        "How many {things} does each friend get?",
        lambda a, b, c: (a - b, Fraction(a - b, c)),
        {"a": TEEN, "b": DIGIT, "c": SMALL},
        _FOOD,
    ),
    Template(
        "{name} has {a} boxes with {b} {things} each. {friend} brings {c} more {things}. "
        "How many {things} are there in all?",
        lambda a, b, c: (a * b, a * b + c),
        {"a": SMALL, "b": DIGIT, "c": DIGIT},
        ("candles", "crayons", "eggs", "bulbs"),
    ),
    Template(
        "A notebook costs {a} dollars and a pen costs {b} dollars. {name} buys {c} of each. "
        "How many dollars does {he} spend?",
        lambda a, b, c: (a + b, (a + b) * c),
        {"a": SMALL, "b": SMALL, "c": SMALL},
    ),
    Template(
        "{name} saves {a} dollars every week for {b} weeks. Then {he} buys a game for {c} dollars. "
        "How many dollars does {he} have left?",
        lambda a, b, c: (a * b, a * b - c),
        {"a": DIGIT, "b": SMALL, "c": TEEN},
    ),
    Template(
        "A bus has {a} people on it. At the next stop {b} people get off and {c} people get on. "
        "How many people are on the bus now?",
        lambda a, b, c: (a - b, a - b + c),
        {"a": (8, 12), "b": DIGIT, "c": DIGIT},
    ),
    Template(
        "{name} reads {a} pages a day. After {b} days {he} still has {c} pages to read. "
        "How many pages does the book have?",
        lambda a, b, c: (a * b, a * b + c),
        {"a": DIGIT, "b": SMALL, "c": TEEN},
    ),
    Template(
        "{name} has {a} {things}. {friend} has {b} times as many. "
        "How many {things} do they have together?",
        lambda a, b: (a * b, a + a * b),
        {"a": DIGIT, "b": SMALL},
        _TOYS,
    ),
    Template(
        "{name} has {a} {things}. {friend} has {b} more than {name}. "
        "How many {things} do they have together?",
        lambda a, b: (a + b, a + (a + b)),
        {"a": TEEN, "b": DIGIT},
        _TOYS,
    ),
    Template(
        "{name} has {a} {things}. {friend} has {b} fewer than {name}. "
        "How many {things} do they have together?",
        lambda a, b: (a - b, a + (a - b)),
        {"a": TEEN, "b": DIGIT},
        _TOYS,
    ),
    Template(
        "{name} has {a} cows and {b} times as many sheep. {he_} sells {c} sheep. "
        "How many sheep are left?",
        lambda a, b, c: (a * b, a * b - c),
        {"a": DIGIT, "b": SMALL, "c": DIGIT},
    ),
    Template(
        "There are {a} rows of {b} chairs in a room. {c} more chairs stand in the hall. "
        "How many chairs are there in all?",
        lambda a, b, c: (a * b, a * b + c),
        {"a": SMALL, "b": DIGIT, "c": DIGIT},
    ),
    Template(
        "{name} bakes {a} trays of {b} {things}. {he_} puts them on {c} plates, "
        "the same number on each. How many {things} are on each plate?",
        lambda a, b, c: (a * b, Fraction(a * b, c)),
        {"a": SMALL, "b": DIGIT, "c": SMALL},
        ("cookies", "muffins", "rolls", "tarts"),
    ),
    Template(
        "{name} has {a} dollars. {he_} buys {b} tickets for {c} dollars each. "
        "How many dollars does {he} have left?",
        lambda a, b, c: (b * c, a - b * c),
        {"a": (10, 20), "b": SMALL, "c": SMALL},
    ),
    Template(
        "A ribbon is {a} meters long. {name} cuts off {b} meters and cuts the rest into pieces of "
        "{c} meters. How many pieces does {he} get?",
        lambda a, b, c: (a - b, Fraction(a - b, c)),
        {"a": TEEN, "b": DIGIT, "c": SMALL},
    ),
    Template(
        "{name} walks {a} kilometers on Monday and {b} kilometers on each of the next {c} days. "
        "How many kilometers does {he} walk in all?",
        lambda a, b, c: (b * c, a + b * c),
        {"a": DIGIT, "b": DIGIT, "c": SMALL},
    ),
    Template(
        "A class has {a} girls and {b} boys. They form teams of {c}. How many teams are there?",
        lambda a, b, c: (a + b, Fraction(a + b, c)),
        {"a": TEEN, "b": TEEN, "c": SMALL},
    ),
    Template(
        "{name} plants {a} rows of {b} {things}. {c} of them do not grow. How many {things} grow?",
        lambda a, b, c: (a * b, a * b - c),
        {"a": SMALL, "b": DIGIT, "c": DIGIT},
        ("tulips", "beans", "roses", "carrots"),
    ),
    Template(
        "{name} earns {a} dollars an hour. {he_} works {b} hours on Friday and {c} hours on "
        "Saturday. How many dollars does {he} earn?",
        lambda a, b, c: (b + c, a * (b + c)),
        {"a": DIGIT, "b": SMALL, "c": SMALL},
    ),
    Template(
        "{name} has {a} {things} and {friend} has {b}. They put them together and share them "
        "equally. How many {things} does each of them get?",
        lambda a, b: (a + b, Fraction(a + b, 2)),
        {"a": TEEN, "b": DIGIT},
        _FOOD,
    ),
    Template(
        "A shop has {a} {things}. It sells {b} on Monday and {c} on Tuesday. "
        "How many {things} are left?",
        lambda a, b, c: (a - b, a - b - c),
        {"a": (10, 20), "b": DIGIT, "c": DIGIT},
        ("lamps", "bikes", "clocks", "hats"),
    ),
)

THREE_STEPS: Final = (
    Template(
        "{name} buys {a} packs of {b} {things}. {he_} gives {c} to {friend} and finds {d} more. "
        "How many {things} does {name} have now?",
        lambda a, b, c, d: (a * b, a * b - c, a * b - c + d),
        {"a": SMALL, "b": DIGIT, "c": DIGIT, "d": DIGIT},
        _TOYS,
    ),
    Template(
        "{name} buys {a} pens for {b} dollars each and {c} books for {d} dollars each. "
        "How many dollars does {he} spend?",
        lambda a, b, c, d: (a * b, c * d, a * b + c * d),
        {"a": SMALL, "b": SMALL, "c": SMALL, "d": DIGIT},
    ),
    Template(
        "{name} has {a} {things}. {friend} gives {him} {b} more. {he_} eats {c} and puts "
        "the rest into {d} bowls, the same number in each. How many {things} are in each bowl?",
        lambda a, b, c, d: (a + b, a + b - c, Fraction(a + b - c, d)),
        {"a": TEEN, "b": DIGIT, "c": DIGIT, "d": SMALL},
        ("cherries", "grapes", "nuts", "plums"),
    ),
    Template(
        "A hall has {a} rows of {b} seats. {c} adults and {d} children sit down. "
        "How many seats are still free?",
        lambda a, b, c, d: (a * b, a * b - c, a * b - c - d),
        {"a": DIGIT, "b": DIGIT, "c": DIGIT, "d": DIGIT},
    ),
    Template(
        "{name} collects {a} eggs a day for {b} days. {he_} keeps {c} eggs and sells the others in "
        "boxes of {d}. How many boxes does {he} sell?",
        lambda a, b, c, d: (a * b, a * b - c, Fraction(a * b - c, d)),
        {"a": DIGIT, "b": SMALL, "c": DIGIT, "d": SMALL},
    ),
    Template(
        "{name} has {a} {things}. {friend} has {b} times as many. Together they give {c} away. "
        "How many {things} do they have left?",
        lambda a, b, c: (a * b, a + a * b, a + a * b - c),
        {"a": DIGIT, "b": SMALL, "c": DIGIT},
        _TOYS,
    ),
)
