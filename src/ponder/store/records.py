"""Values as they are kept: versioned JSON, compressed with zlib.

A record is `zlib({"version": V, NAME: ...})`. Numbers, None, emptiness and any text, with lone
surrogates too, come back as they went in.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from typing import Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from ponder.encoding import to_json
from ponder.errors import StoreError
from ponder.trace import Trace
from ponder.types import Example

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class RecordFormat(Generic[Value]):
    """How values of one type are written and read."""

    name: str
    """What the value is, for messages and as its key in the record."""
    version: int
    """Of what is written; a record of a higher version is refused."""
    adapter: TypeAdapter[Value]

    def encode(self, value: Value) -> bytes:
        """The record of `value`."""
        content = to_json({"version": self.version, self.name: value})
        return zlib.compress(content, level=1)  # level 6 takes four times as long for 83 %

    def decode(self, record: bytes, where: str) -> Value:
        """The value of a record.

        `where` names it in messages ("RUN/run.sqlite, problem 'x'"). Raises StoreError for a
        damaged record and for one that a newer version of ponder wrote.
        """
        try:
            content = json.loads(zlib.decompress(record))
            version, value = int(content["version"]), content.get(self.name)
            if version <= self.version:
                return self.adapter.validate_python(value)
        except (zlib.error, ValidationError, ValueError, TypeError, KeyError) as error:
            reason = str(error).splitlines()[0]
            raise StoreError(f"{where}: its {self.name} is damaged ({reason})") from error
        raise StoreError(
            f"{where}: its {self.name} has version {version}, this ponder reads up to "
            f"{self.version}: update ponder"
        )


TRACE = RecordFormat("trace", 1, TypeAdapter(Trace))
EXAMPLE = RecordFormat("example", 1, TypeAdapter(Example))
