"""Candidates on the Hugging Face hub: a data set's rows, pulled and pushed.

The layout is that of `datasets`: `data/train-00000-of-00001.parquet`, or a folder for each further
configuration. sal pushes each run to a branch of its own, which is a `revision` here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from ponder.errors import UsageError
from ponder.evals.exchange.files import table_bytes
from ponder.evals.exchange.remainder import Json
from ponder.evals.rows import SUFFIXES, Row, first_line, optional, read_rows

_NAME = re.compile(r"[\w.-]+/[\w.-]+")
_DEFAULT = ("", ".", "data", "default")
"""Folders of the default configuration."""
_PUSHED = "data/train-00000-of-00001.parquet"


@dataclass(frozen=True, slots=True)
class HubSet:
    """Which rows of the hub; None: the only ones there are."""

    name: str
    """As in "HuggingFaceH4/Llama-3.2-1B-Instruct-best-of-N-completions"."""
    revision: str | None = None
    config: str | None = None
    split: str | None = None

    def settings(self) -> dict[str, object]:
        """What was asked for beside the name."""
        asked = {"revision": self.revision, "config": self.config, "split": self.split}
        return {key: value for key, value in asked.items() if value is not None}


class Pulled(NamedTuple):
    """Rows of the hub, and the commit that they are of."""

    rows: list[Row]
    commit: str


def is_hub_name(text: str) -> bool:
    """It is written as ORG/NAME and names no file of a known format."""
    return bool(_NAME.fullmatch(text)) and not text.lower().endswith((*SUFFIXES, ".eval"))


def pull(source: HubSet) -> Pulled:
    """The rows of one configuration and split, as of one commit; kept in the hub's own cache.

    Raises UsageError in one line if there is no such data set, or when a configuration or split
    has to be named.
    """
    with _stated(f"{source.name} cannot be read from the hub") as api:
        told = api.dataset_info(source.name, revision=source.revision)
        names = _data_files([file.rfilename for file in told.siblings or ()], source)
        rows: list[Row] = []
        for name in names:
            file = Path(
                api.hf_hub_download(source.name, name, repo_type="dataset", revision=told.sha)
            )
            rows += [
                Row(row.where.replace(str(file), f"{source.name}/{name}"), row.values)
                for row in read_rows(file)
            ]
    return Pulled(rows, str(told.sha))


def push(
    rows: Sequence[Json], name: str, *, revision: str | None = None, private: bool = False
) -> str:
    """Make the rows the data of a branch, by default of main; returns the commit's address.

    The data set and the branch are made if there are none; other files stay. Raises UsageError in
    one line if the hub refuses.
    """
    hub = optional("huggingface_hub", "data")
    with _stated(f"cannot push to {name}") as api:
        api.create_repo(name, repo_type="dataset", private=private, exist_ok=True)
        if revision is not None:
            api.create_branch(name, repo_type="dataset", branch=revision, exist_ok=True)
        told = api.dataset_info(name, revision=revision)
        before = [file.rfilename for file in told.siblings or ()]
        outdated = [
            hub.CommitOperationDelete(path_in_repo=file)
            for file in before
            if file.startswith("data/train-") and file != _PUSHED
        ]
        added = hub.CommitOperationAdd(path_in_repo=_PUSHED, path_or_fileobj=table_bytes(rows))
        commit = api.create_commit(
            name,
            [*outdated, added],
            commit_message=f"{len(rows)} problems with their completions",
            repo_type="dataset",
            revision=revision,
        )
    return str(commit.commit_url)


@contextmanager
def _stated(failure: str) -> Iterator[Any]:
    """The hub's client; its errors and the network's become one line."""
    hub = optional("huggingface_hub", "data")
    errors = optional("huggingface_hub.errors", "data")
    # The hub's errors are those of its HTTP library, which is not the same in all versions.
    refused = (*errors.HfHubHTTPError.__bases__, errors.HFValidationError, OSError)
    try:
        # Read here, not once by the library, so that a mirror can be named at any time.
        yield hub.HfApi(endpoint=os.environ.get("HF_ENDPOINT"))
    except refused as error:
        raise UsageError(f"{failure}: {first_line(error)}") from error


def _data_files(files: Sequence[str], source: HubSet) -> list[str]:
    """The files of the asked configuration and split, in order."""
    data = [PurePosixPath(file) for file in files if file.lower().endswith(SUFFIXES)]
    configs = sorted({_config(file) for file in data})
    default = "default" if "default" in configs else None
    config = _one(source.name, "--config", configs, source.config or default)
    picked = [file for file in data if _config(file) == config]
    splits = sorted({_split(file) for file in picked})
    split = _one(source.name, "--split", splits, source.split)
    return sorted(str(file) for file in picked if _split(file) == split)


def _one(name: str, option: str, known: Sequence[str], asked: str | None) -> str:
    """What was asked for, else the only one there is."""
    if not known:
        raise UsageError(f"{name} holds no data: none of its files is {', '.join(SUFFIXES)}")
    if asked not in known and (asked is not None or len(known) > 1):
        raise UsageError(f"{name}: give `{option}`, one of {', '.join(known)}")
    return asked or known[0]


def _config(file: PurePosixPath) -> str:
    folder = str(file.parent)
    return "default" if folder in _DEFAULT else folder


def _split(file: PurePosixPath) -> str:
    """The split that a file's name begins with: "train-00000-of-00001.parquet"."""
    return re.split(r"-\d{5}-of-|\.", file.name)[0]
