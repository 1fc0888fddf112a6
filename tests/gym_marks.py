"""Which tests need reasoning-gym, a package that not every machine can build."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

NEEDS_GYM = pytest.mark.skipif(
    find_spec("reasoning_gym") is None,
    reason="reasoning-gym is not installed: it needs a C compiler",
)
