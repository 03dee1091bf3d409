"""``python -m search.dashboard``."""

from __future__ import annotations

import sys

from search.dashboard.command import main

if __name__ == "__main__":
    sys.exit(main())
