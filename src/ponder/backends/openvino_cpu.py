"""How OpenVINO uses the processors, for every model that is compiled here."""

from __future__ import annotations

from typing import Any


def cpu_properties(threads: int | None) -> dict[str, Any]:
    """So many threads (None: as many as processors), which the system may move.

    Left alone OpenVINO binds threads to processors, and was seen to bind both threads of one model
    to the same one while another idled.
    """
    properties: dict[str, Any] = {"ENABLE_CPU_PINNING": False}
    if threads is not None:
        properties["INFERENCE_NUM_THREADS"] = threads
    return properties
