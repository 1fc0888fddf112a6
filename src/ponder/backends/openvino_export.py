"""Writes the OpenVINO form of a GGUF file beside it: `python -m ponder.backends.openvino_export F`.

A program of its own because OpenVINO GenAI only saves while it loads, and loading takes memory
and may end the process.
"""

from __future__ import annotations

import os
import sys


def export(path: str) -> None:
    """Write model, tokenizer and detokenizer into the folder of `path`."""
    import openvino_genai

    config = openvino_genai.SchedulerConfig()
    config.num_kv_blocks = 1
    save = {"enable_save_ov_model": True}
    openvino_genai.ContinuousBatchingPipeline(path, config, "CPU", save, save)


if __name__ == "__main__":
    export(sys.argv[1])
    os._exit(0)  # the library's own teardown takes seconds and has nothing to save
