"""What is left when the demo is over: a table and a picture."""

import pathlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from replay.demo.config import SOLVED, Config
from replay.demo.tally import Tally

#: Episodes in the running mean of the picture.
WINDOW = 20
#: Colours that people with any kind of colour vision can tell apart.
PALE, STRONG, GREEDY, GREY = "#9ecae1", "#08519c", "#d95f02", "#636363"


@dataclass(frozen=True)
class Summary:
    """
    A finished run.

    Attributes
    ----------
    tally : Tally
        What happened.
    returns : (episodes,) float64
        Of the final evaluation.
    checkpoint_steps : int
        Environment steps after which the evaluated policy was kept.
    training_seconds : float
        Of the loop of acting and learning.
    seconds : float
        Of all, from the first line on.
    """

    tally: Tally
    returns: npt.NDArray[np.float64]
    checkpoint_steps: int
    training_seconds: float
    seconds: float

    @property
    def solved(self) -> bool:
        """Whether the evaluation's mean reaches what Gymnasium calls solved."""
        return bool(self.returns.mean() >= SOLVED)


def summary_table(config: Config, summary: Summary) -> str:
    """
    Lay a run out as a table.

    Parameters
    ----------
    config : Config
        What was asked for.
    summary : Summary
        What came of it.

    Returns
    -------
    str
        Two columns, one line for each figure.
    """
    tally, returns = summary.tally, summary.returns
    rows = [
        ("seed", f"{config.seed}"),
        ("sampler", config.sampler),
        ("actors", f"{config.actors}"),
        ("environment steps", f"{tally.steps:,}"),
        ("episodes", f"{len(tally.episodes):,}"),
        ("learner updates", f"{tally.updates:,}"),
        ("steps/s", f"{tally.steps / summary.training_seconds:,.0f}"),
        ("samples/s", f"{tally.samples / summary.training_seconds:,.0f}"),
        ("stale updates", f"{tally.stale:,}"),
        ("checkpoint of step", f"{summary.checkpoint_steps:,}"),
        ("evaluation mean", f"{returns.mean():.1f} of 500 ({len(returns)} greedy episodes)"),
        ("evaluation min", f"{returns.min():.0f}"),
        ("seconds", f"{summary.seconds:.1f}"),
    ]
    left = max(len(name) for name, _ in rows)
    right = max(len(value) for _, value in rows)
    rule = f"+{'-' * (left + 2)}+{'-' * (right + 2)}+"
    lines = [f"| {name:<{left}} | {value:<{right}} |" for name, value in rows]
    return "\n".join([rule, *lines, rule])


def running_mean(values: npt.NDArray[np.float64], window: int) -> npt.NDArray[np.float64]:
    """
    Average each value with those before it.

    Parameters
    ----------
    values : (n,) float64
        In order of time.
    window : int
        Values averaged; the first ones have fewer.

    Returns
    -------
    (n,) float64
        A new array.
    """
    sums = np.cumsum(values)
    sums[window:] -= np.cumsum(values)[:-window]
    means: npt.NDArray[np.float64] = sums / np.minimum(np.arange(1, len(values) + 1), window)
    return means


def plot_curve(config: Config, summary: Summary, path: pathlib.Path) -> None:
    """
    Draw the learning curve.

    Parameters
    ----------
    config : Config
        What was asked for.
    summary : Summary
        What came of it.
    path : pathlib.Path
        Written; its ending says the format.
    """
    # Without pyplot: no window system is looked for, and nothing global is left behind.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    tally = summary.tally
    if tally.episodes:
        steps, returns = (np.array(column, float) for column in zip(*tally.episodes, strict=True))
        axes.plot(steps, returns, ".", color=PALE, markersize=4, label="training episode")
        axes.plot(
            steps,
            running_mean(returns, WINDOW),
            color=STRONG,
            linewidth=1.8,
            label=f"mean of {WINDOW} training episodes",
        )
    if tally.evaluations:
        steps, means = (np.array(column, float) for column in zip(*tally.evaluations, strict=True))
        axes.plot(
            steps, means, "o-", color=GREEDY, markersize=3, linewidth=1, label="greedy evaluation"
        )
        kept = summary.checkpoint_steps
        axes.plot(
            kept,
            means[steps == kept],
            "*",
            color=GREEDY,
            markersize=12,
            clip_on=False,
            label="policy kept",
        )
    axes.axhline(SOLVED, color=GREY, linestyle="--", linewidth=1, label=f"solved ({SOLVED:.0f})")
    axes.set(
        xlabel="environment steps",
        ylabel="episode return",
        xlim=(0, max(tally.steps, 1)),
        ylim=(0, 520),
    )
    axes.set_title(
        f"Double DQN on CartPole-v1, {config.sampler} replay, seed {config.seed}: "
        f"final evaluation {summary.returns.mean():.0f} of 500",
        fontsize=11,
    )
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.25)
    figure.legend(loc="outside lower center", ncols=5, fontsize=8, frameon=False)
    figure.savefig(path, dpi=150)
