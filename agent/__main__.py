"""``python -m agent``: what ``bin/posagent`` of a release runs."""

import sys

from agent.cli.entry import main

sys.exit(main())
