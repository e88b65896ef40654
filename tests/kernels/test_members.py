"""Members: who is inside, and that nobody passes unseen between two looks."""

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from kernels.atomics import fetch_add, load
from kernels.jit import kernel
from kernels.members import (
    CLEARING,
    INSIDE,
    INSIDE_COUNT,
    MEMBERS,
    member_counted,
    member_enter,
    member_leave,
    members_quiet,
)
from tests import naive
from tests.homes import fewer

WORDS = (INSIDE, CLEARING)


def new_members():
    """Give the lines of members, and the control line that counts them."""
    return np.zeros((MEMBERS, 8), np.int64), np.zeros(8, np.int64)


class MembersMachine(RuleBasedStateMachine):
    """Members join when they like, go in, and come out; some never do."""

    def __init__(self):
        super().__init__()
        self.lines, self.ready = new_members()
        self.plain = naive.Members()
        self.looks = {word: {} for word in WORDS}

    @rule(member=st.integers(0, 4), word=st.sampled_from(WORDS))
    def enter(self, member, word):
        member_counted(self.ready, member)
        member_enter(self.lines[member], word)
        self.plain.enter(member, word)

    @rule(member=st.integers(0, 4), word=st.sampled_from(WORDS))
    def leave(self, member, word):
        if self.plain.inside.get((member, word), 0):
            member_leave(self.lines[member], word)
            self.plain.leave(member, word)

    @rule(member=st.integers(0, 4), word=st.sampled_from(WORDS))
    def die(self, member, word):
        # As repair does with the line of a dead one.
        self.lines[member, word] &= ~INSIDE_COUNT
        self.plain.inside.pop((member, word), None)

    @invariant()
    def a_look_is_equal_to_an_earlier_one_when_nobody_entered_between(self):
        for word in WORDS:
            look = int(members_quiet(self.lines, self.ready, word))
            entries = self.plain.quiet(word)
            assert (look < 0) == (entries is None)
            if entries is not None:
                assert self.looks[word].setdefault(look, entries) == entries

    @invariant()
    def each_line_counts_for_itself(self):
        for (member, word), count in self.plain.inside.items():
            assert self.lines[member, word] & INSIDE_COUNT == count
        assert not self.lines[5:].any()


TestMembersMachine = MembersMachine.TestCase
TestMembersMachine.settings = settings(
    deadline=None, max_examples=fewer(60, 20), stateful_step_count=40, derandomize=True
)


def test_one_who_joins_between_two_looks_is_seen_by_the_second():
    lines, ready = new_members()
    member_counted(ready, 0)
    first = members_quiet(lines, ready, INSIDE)
    member_counted(ready, 7)
    member_enter(lines[7], INSIDE)
    assert first == 0
    assert members_quiet(lines, ready, INSIDE) == -1
    member_leave(lines[7], INSIDE)
    assert members_quiet(lines, ready, INSIDE) not in (-1, first)


def test_the_number_of_members_never_goes_back():
    _, ready = new_members()
    for number, used in ((3, 4), (0, 4), (MEMBERS - 1, MEMBERS), (5, MEMBERS)):
        member_counted(ready, number)
        assert ready[1] == used
    assert ready[0] == 0


def test_what_is_entered_twice_is_left_twice():
    lines, ready = new_members()
    member_counted(ready, 2)
    for _ in range(2):
        member_enter(lines[2], CLEARING)
    member_leave(lines[2], CLEARING)
    assert members_quiet(lines, ready, CLEARING) == -1
    assert members_quiet(lines, ready, INSIDE) == 0
    member_leave(lines[2], CLEARING)
    assert members_quiet(lines, ready, CLEARING) > 0


@kernel
def come_and_go(line, words, member, rounds):
    """Change two words that are equal whenever nobody is inside."""
    for turn in range(rounds):
        member_enter(line, INSIDE)
        fetch_add(words, 0, member + turn)
        fetch_add(words, 8, member + turn)
        member_leave(line, INSIDE)
        for _ in range(turn & 63):
            load(words, 16)
    fetch_add(words, 24, 1)


@kernel
def look_between(lines, ready, words, others, least):
    """Compare the two words at moments when nobody is inside; count these, and the unequal."""
    seen = 0
    unequal = 0
    while load(words, 24) < others or seen < least:
        quiet = members_quiet(lines, ready, INSIDE)
        first = load(words, 0)
        second = load(words, 8)
        if quiet >= 0 and members_quiet(lines, ready, INSIDE) == quiet:
            seen += 1
            unequal += np.int64(first != second)
    return seen, unequal


@pytest.mark.compiled
def test_between_two_equal_looks_nobody_was_inside():
    lines, ready = new_members()
    words = np.zeros(32, np.int64)
    for number in range(2):
        member_counted(ready, number)
    *_, (seen, unequal) = naive.together(
        lambda: come_and_go(lines[0], words, 1, 300_000),
        lambda: come_and_go(lines[1], words, 2, 300_000),
        lambda: look_between(lines, ready, words, 2, 1),
    )
    assert seen > 0
    assert unequal == 0
    assert words[0] == words[8]
