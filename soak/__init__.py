"""Long campaigns against the program: many users, kill -9, mutated pictures, connections. `make soak`

Each module runs whole from here and in a reduced size in the tests. The toys are those of the tests.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT / "tests") not in sys.path:
    sys.path.append(str(ROOT / "tests"))
