"""``python -m threadlite`` is the console command."""

import sys

from threadlite.cli import main

if __name__ == "__main__":
    sys.exit(main())
