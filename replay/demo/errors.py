"""What can end the demo before its time."""


class DemoError(Exception):
    """Something the demo cannot work around; the message is for the person who started it."""


class InterruptionError(Exception):
    """
    A signal asked the demo to end.

    Parameters
    ----------
    signum : int
        Which.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(f"interrupted by signal {signum}")
        self.signum = signum
