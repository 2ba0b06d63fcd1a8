"""``python -m harness`` is ``evalvar``."""

from harness.cli import main

main()
