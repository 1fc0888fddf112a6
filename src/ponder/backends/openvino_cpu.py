"""How OpenVINO uses the processors, for every model that is compiled here."""

from __future__ import annotations

from typing import Any


def cpu_properties(threads: int | None) -> dict[str, Any]:
    """So many threads (None: as many as processors), which the system may move.

    By default OpenVINO binds its threads to processors, those of each compiled model from the first
    processor on. Two threads of one model can then share a processor while another idles, and each
    model waits for whatever else runs on the processors of its own.
    """
    properties: dict[str, Any] = {"ENABLE_CPU_PINNING": False}
    if threads is not None:
        properties["INFERENCE_NUM_THREADS"] = threads
    return properties
