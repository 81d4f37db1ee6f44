"""What a test needs that not every installation has."""

import pytest

from fastsoftmax import _compiled

compiled = pytest.mark.skipif(not _compiled.IS_COMPILED, reason="fastsoftmax is not compiled")
