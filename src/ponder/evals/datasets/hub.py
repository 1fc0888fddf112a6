"""Rows of a data set on the hub."""

from __future__ import annotations

from ponder.errors import UsageError
from ponder.evals.datasets.named import HubSet
from ponder.evals.rows import Row, as_rows, first_line, optional


def hub_rows(source: HubSet) -> list[Row]:
    """All rows of its split, read through the library `datasets`, which keeps them on disk.

    Raises UsageError in one line for a data set that cannot be read, MissingExtraError without
    the library.
    """
    library = optional("datasets", "data")
    try:
        table = library.load_dataset(source.hub, source.configuration, split=source.split)
        return as_rows(source.hub, table)
    except (OSError, ValueError) as error:
        line = first_line(error).rstrip(".")
        refused = source.gated and not isinstance(error, ConnectionError)
        mend = _consent(source.hub) if refused or "gated" in line.lower() else ""
        raise UsageError(f"{source.hub} cannot be read from the hub: {line}{mend}") from error


def _consent(name: str) -> str:
    return (
        f"; it is gated: agree to its terms at https://huggingface.co/datasets/{name}, then log in "
        "with `hf auth login` or set HF_TOKEN"
    )
