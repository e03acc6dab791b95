"""What every test may count on: no setting of the machine's own reaches it."""

import os

for name in list(os.environ):
    if name.startswith(("PREFECT_", "ANTHROPIC_", "LOOPRAIL_")):
        del os.environ[name]
