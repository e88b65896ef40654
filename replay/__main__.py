"""`python -m replay` is the `replay` command."""

from replay.cli import main

# The guard matters: spawned actor processes import this module again.
if __name__ == "__main__":
    raise SystemExit(main())
