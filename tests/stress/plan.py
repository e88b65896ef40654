"""What a trial does: every number that it can be repeated by."""

import argparse
import dataclasses

import replay

SAMPLERS = {
    "uniform": replay.Uniform(),
    "batch": replay.Proportional(alpha=0.6, beta=0.4, normalise="batch"),
    "buffer": replay.Proportional(alpha=0.7, beta=0.5, normalise="buffer"),
}

#: Which fields have rows of which each has another number of bytes.
HEAPED = ("no", "compressed", "ragged", "both")


@dataclasses.dataclass(frozen=True)
class Plan:
    """Numbers of one trial."""

    seconds: float = 4.0
    seed: int = 0
    writers: int = 3
    learners: int = 2
    capacity: int = 64
    streams: int = 1
    home: str = "named"
    sampler: str = "uniform"
    wide: bool = False
    heaped: str = "no"
    #: Mean seconds between two blows of the killer.
    pause: float = 0.02

    def __post_init__(self):
        if self.writers < 1 or self.learners < 1 or self.writers > 200:
            raise ValueError(f"{self.writers} writers and {self.learners} learners cannot be")

    @property
    def shape(self):
        """What its rows are made of."""
        return {"wide": self.wide, "heaped": self.heaped}

    @property
    def prioritized(self):
        """Whether learners update priorities."""
        return SAMPLERS[self.sampler].prioritized

    def command(self):
        """Write the command that repeats the trial."""
        said = f"python -m tests.stress --seconds {self.seconds:g} --seed {self.seed}"
        said += f" --writers {self.writers} --learners {self.learners} --pause {self.pause:g}"
        said += f" --capacity {self.capacity} --streams {self.streams} --home {self.home}"
        said += f" --sampler {self.sampler} --heaped {self.heaped}"
        return said + (" --wide" if self.wide else "")


def read_plan(arguments=None):
    """Read a plan from a command line."""
    plain = Plan()
    parser = argparse.ArgumentParser(
        prog="python -m tests.stress",
        description="Writers and learners at one buffer, and a killer among them.",
    )
    parser.add_argument("--seconds", type=float, default=plain.seconds)
    parser.add_argument("--seed", type=int, default=plain.seed)
    parser.add_argument("--writers", type=int, default=plain.writers)
    parser.add_argument("--learners", type=int, default=plain.learners)
    parser.add_argument("--capacity", type=int, default=plain.capacity)
    parser.add_argument("--streams", type=int, default=plain.streams)
    parser.add_argument("--home", choices=("named", "path"), default=plain.home)
    parser.add_argument("--sampler", choices=tuple(SAMPLERS), default=plain.sampler)
    parser.add_argument(
        "--prioritized",
        dest="sampler",
        action="store_const",
        const="batch",
        help="--sampler batch",
    )
    parser.add_argument(
        "--heaped",
        choices=HEAPED,
        default=plain.heaped,
        help="rows of which each has another number of bytes, with room for fewer than slots",
    )
    parser.add_argument("--wide", action="store_true", help="rows with an image")
    parser.add_argument("--pause", type=float, default=plain.pause, help="between two blows")
    return Plan(**vars(parser.parse_args(arguments)))
