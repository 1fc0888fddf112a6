"""What a server was found to do, kept on disk by its URL and model."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

Mode = Literal["ids", "text", "chat"]
"""How a prefix is handed over: token ids, text rendered by the model's template, or messages."""

Rendering = Literal["given", "tokenize", "apply-template", "chat"]
"""Who renders messages: the caller's template, vLLM's `/tokenize`, llama.cpp's `/apply-template`,
or the chat endpoint itself."""


class Abilities(BaseModel):
    """A server's behaviour as its probes found it: true of one URL, model and chat template."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1] = 1
    """Of this record: another one is probed again."""
    facts: str
    """Hash of what the server lists about the model; where it has changed, it is probed again."""
    mode: Mode
    rendering: Rendering
    continues: bool
    """Goes on with a partial answer."""
    why: str = ""
    """The probes that failed on the way to this mode, in words."""
    tells_separator: bool = False
    """Says which stop string ended a sample; else the separator is looked for in the stream."""
    several: bool = False
    """Honours `n`."""
    logprobs: bool = False
    seeds: bool = False
    """Equal seeds gave equal texts."""
    optional: tuple[str, ...] = ()
    """Optional request fields that it takes."""
    tokenizer: str | None = None
    """Fingerprint, in mode `ids`."""
    parameters: int | None = None
    """Weights of the model, if it says so."""
    slots: int | None = None
    """Sequences that it runs at once, if it says so."""


def digest(*parts: object) -> str:
    """16 hexadecimal digits over JSON-able parts."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def abilities_file(folder: Path, base_url: str, model: str, template: str | None) -> Path:
    """Where the abilities of this server, model and template are kept."""
    return folder / "servers" / f"{digest(base_url, model, template)}.json"


def load(file: Path, facts: str) -> Abilities | None:
    """The abilities kept in `file`; None if there are none, or those of another server."""
    try:
        known = Abilities.model_validate_json(file.read_bytes())
    except (FileNotFoundError, ValidationError):  # of an older version, or cut off: found anew
        return None
    return known if known.facts == facts else None


def save(file: Path, abilities: Abilities) -> None:
    """Write `file` at once, so that a reader never sees half of it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=file.stem)
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        stream.write(abilities.model_dump_json(indent=2))
    Path(name).replace(file)
