"""Which rows a batch is made of."""

from replay.samplers.combined import Combined
from replay.samplers.fifo import Fifo
from replay.samplers.lifo import Lifo
from replay.samplers.proportional import Proportional
from replay.samplers.ranked import Ranked
from replay.samplers.recent import Recent
from replay.samplers.sampler import Sampler, from_json
from replay.samplers.schedule import Linear
from replay.samplers.uniform import Uniform

__all__ = [
    "Combined",
    "Fifo",
    "Lifo",
    "Linear",
    "Proportional",
    "Ranked",
    "Recent",
    "Sampler",
    "Uniform",
    "from_json",
]
