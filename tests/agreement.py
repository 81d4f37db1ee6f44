"""Whether a peer means the same by a name."""

import numpy as np
from tolerances import DEFINITIONS


def same(got, want):
    """Assert that our result and a peer's, perhaps a tensor that is tracked, come of one definition."""
    if hasattr(want, "detach"):
        want = want.detach().numpy()
    np.testing.assert_allclose(got, want, rtol=DEFINITIONS, atol=DEFINITIONS)
