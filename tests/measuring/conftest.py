"""bench/ lies in the repository, not in the package: its tests are skipped where it is not."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
if (ROOT / "bench" / "__main__.py").exists() and str(ROOT) not in sys.path:
    sys.path.append(str(ROOT))  # at the end: the installed package comes first
