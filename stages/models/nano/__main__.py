"""`python -m stages.models.nano`: render and train everyframe-nano."""

from __future__ import annotations

import sys

from stages.models.nano.commands import main

if __name__ == "__main__":
    sys.exit(main())
