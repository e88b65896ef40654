"""A trial by hand: python -m tests.stress --seconds 3600 --seed 7."""

import sys

from tests.stress.plan import read_plan
from tests.stress.trial import run_trial


def main():
    """Run a trial; the last lines say what was wrong and how to repeat it."""
    plan = read_plan()
    try:
        report = run_trial(plan)
    except Exception as error:
        print(f"{type(error).__name__}: {error}\nrepeat it: {plan.command()}")
        raise
    print(report.line())
    for what, count in report.wrong.items():
        print(f"WRONG: {what}: {count:,}")
    if report.wrong:
        print(f"repeat it: {plan.command()}")
        return 1
    print("torn rows 0, committed rows lost 0")
    return 0


sys.exit(main())
