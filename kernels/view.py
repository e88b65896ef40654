"""
The words of a view: one int64 array that tells the kernels what a drawn row becomes.

A view reads a log of steps. Each of its rows holds what a step brought: the observation it led to,
its action and reward, and a number, `step << 2 | truncated << 1 | terminated`. Rows of an episode
are neighbours in their stream, and count from 0, the reset. The transition of a row is the
observation of the row before it, and all else of its own.

    word                holds
    AHEAD               steps of a window, from the drawn row on
    STACK               observations in a stack, 1 or more: so many rows before the drawn one count
    PERIOD              only every so manieth step of an episode is a start
    BURN_IN             a window has more steps than these
    DISCOUNT            float64, by its bits
    FLAGS               EPISODE: a window is a whole episode. ENDED: the episode has ended.
                        ZEROS: zeros lie before the first observation of a stack, else that one
                        again. TIME: a batch has an axis of time. MAJOR: it comes first.
    STEP_ADDRESS STEP_STRIDE            where the number of slot 0 lies
    REWARD_ADDRESS REWARD_STRIDE REWARD_SIZE    and its reward; size 0: there is none
    OUTPUTS             arrays of a batch, without weights and ids
    LANES               slots of all groups together that a drawn row is copied from
    BYTES               of all outputs of a row
    GROUPS              from here 3 words a group: TIMES, INNER, START: its slots of a drawn row
                        are TIMES * INNER, and begin behind START others
    STRATEGY            where the goal of a relabelled row comes from; 0: none is relabelled
    SHARE               of the rows, float64, by its bits
    ACHIEVED            the number of the field that a new goal is copied from
    OUTPUT_LINES        from here OUTPUTS lines, as those of the plan in `rows`, but that ADDRESS
                        is the number of the field in that plan, STRIDE the group it comes from,
                        and KIND how an array is computed that is no copy

    group               the slots of
    PAST                the stacks of observations that the steps began with
    NEXT                the stack of the last one
    BEFORE AFTER        the same unstacked
    HERE                the steps
    FIRST               the first step
    GOAL                whose goal a row gets, -1: its own; and what that slot's word must be
"""

AHEAD = 0
STACK = 1
PERIOD = 2
BURN_IN = 3
DISCOUNT = 4
FLAGS = 5
STEP_ADDRESS = 6
STEP_STRIDE = 7
REWARD_ADDRESS = 8
REWARD_STRIDE = 9
REWARD_SIZE = 10
OUTPUTS = 11
LANES = 12
BYTES = 13
GROUPS = 16
STRATEGY = 37
SHARE = 38
ACHIEVED = 39
OUTPUT_LINES = 64
VIEW_WORDS = 64

EPISODE = 1
ENDED = 2
ZEROS = 4
TIME = 8
MAJOR = 16

PAST = 0
NEXT = 1
BEFORE = 2
AFTER = 3
HERE = 4
FIRST = 5
GOAL = 6
GROUP_COUNT = 7

TIMES = 0
INNER = 1
START = 2
GROUP_WORDS = 3

#: How an output comes about.
COPIED = 0
REWARD_SUM = 1
DISCOUNTED = 2
TERMINATED = 3
TRUNCATED = 4
MASK = 5
LENGTH = 6
#: Copied, but for a relabelled row from its GOAL.
DESIRED = 7
RELABELLED = 8

#: Strategies: a later step of the episode or this one, the episode's last, or any.
FUTURE = 1
FINAL = 2
ANY_STEP = 3

#: The number of a row: its step above, how the episode ended below.
STEP_SHIFT = 2
TERMINATED_BIT = 1
TRUNCATED_BIT = 2
ENDED_BITS = 3
