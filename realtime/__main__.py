"""`python -m realtime` is `gazecast`."""

import sys

from realtime.cli import main

sys.exit(main())
