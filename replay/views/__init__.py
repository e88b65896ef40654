"""What a drawn row becomes."""

from replay.views.transition import Transition

__all__ = ["Transition"]
