"""Model text is untrusted: what it may do to a terminal or a page is taken away here."""

from __future__ import annotations

import json
import re

_HIDDEN = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # controls: escape sequences would drive a terminal
    "\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"  # direction and zero-width marks
    "\ud800-\udfff"  # lone surrogates: no encoding can write them
    "\U000e0000-\U000e007f"  # tag characters: an invisible copy of ASCII
    "]"
)

_IN_SCRIPT = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"}


def visible(text: str) -> str:
    """`text` with each control, direction and invisible character written as `⟨U+202E⟩`.

    Line feeds and tabs stay; a carriage return before a line feed is dropped.
    """
    return _HIDDEN.sub(_name, text.replace("\r\n", "\n"))


def clipped(text: str, characters: int) -> str:
    """`text` on one line of at most `characters`, with an ellipsis where it was cut."""
    line = " ".join(visible(text).split())
    return line if len(line) <= characters else line[: max(0, characters - 1)].rstrip() + "…"


def script_json(data: object) -> str:
    """JSON that may stand inside a `<script type="application/json">` element.

    No character of it can end the element or open a comment; a parser reads the same data back.
    """
    text = json.dumps(data, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return re.sub("[<>&]", lambda found: _IN_SCRIPT[found.group()], text)


def _name(found: re.Match[str]) -> str:
    return f"⟨U+{ord(found.group()):04X}⟩"
