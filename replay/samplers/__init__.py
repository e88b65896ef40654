"""Which rows a batch is made of."""

from replay.samplers.proportional import Proportional
from replay.samplers.sampler import Sampler, from_json
from replay.samplers.schedule import Linear
from replay.samplers.uniform import Uniform

__all__ = ["Linear", "Proportional", "Sampler", "Uniform", "from_json"]
