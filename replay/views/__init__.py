"""What a drawn row becomes."""

from replay.views.episodes import Episodes
from replay.views.frame_stack import FrameStack
from replay.views.hindsight import Hindsight
from replay.views.n_step import NStep
from replay.views.sequence import Sequence
from replay.views.transition import Transition
from replay.views.view import View, from_header

__all__ = [
    "Episodes",
    "FrameStack",
    "Hindsight",
    "NStep",
    "Sequence",
    "Transition",
    "View",
    "from_header",
]
