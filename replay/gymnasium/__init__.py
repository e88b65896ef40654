"""
Gymnasium's environments, recorded as they are played.

    fields      what a buffer stores of an environment, read off its spaces
    Recorder    reset and step of an environment, each of which also writes into the log

Gymnasium, 1.0 or later, is imported by the first call, and is no dependency of the library.
"""

from replay.gymnasium.recorder import Recorder
from replay.gymnasium.spaces import fields

__all__ = ["Recorder", "fields"]
