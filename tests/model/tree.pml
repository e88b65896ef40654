/*
 * Leaves and their sum, step by step: no priority stays on a row that came later, no empty slot
 * keeps one, and what the sum lacks after a kill between a leaf and the sum, repair adds.
 * Who sets a leaf and is killed before the look at the word after it has left word of that leaf.
 *
 * One sum over all leaves; the code does the same at every node. Rows have no bytes here, and
 * FILLED is left out. With CLEAR there is a clear beside all, and no sum: it has too many states.
 */

#ifndef UPDATES
#define UPDATES 1 /* priorities that the learner sets */
#endif
#ifndef CLEAR
#define SUM
#endif

/* The writers, the learner, who clears, the repairer, and those who follow it if it is killed. */
#define LEARNER WRITERS
#define CLEARER (LEARNER + 1)
#define REPAIRER (LEARNER + 2)
#define MEMBERS (REPAIRER + KILLS)

#include "steps.pml"

/* Leaves: 0 of an empty slot, that of new rows, and for each ticket one that only updates give. */
#define NEW 1
#define UPDATED(word) (NEXT(word) + 1)

byte leaves[ROWS];

/*
 * The leaf that a member is about to set: the word of the row that the priority is for, or the
 * slot + 1 of a leaf that is settled; 0 outside of that. Nobody but repair reads it, and only of
 * the dead, so that a store here may be one step with the member's next one.
 */
byte doubts[MEMBERS];
#define DOUBT(leaf) doubts[me] = (leaf); MAY_DIE
#define SURE atomic { DOUBT(0) };
#define DOUBTED(doubt) (NEXT(doubt) == 0 -> (doubt) - 1 : (NEXT(doubt) - 1) % ROWS)

#ifdef SUM
short total;
/* Who is between a leaf and the sum; and, for the count of entries, who is since repair asked. */
bit inside[MEMBERS];
bit entered[MEMBERS];
bit asked;
#define ENTER atomic { inside[me] = true; entered[me] = asked; POINT(ENTERED) };
#define ADD atomic { total = total + grown; grown = 0; POINT(ANCESTOR) };
#define LEAVE atomic { inside[me] = false; POINT(LEFT) };
#define GROW(difference) grown = grown + difference;
#else
#define ENTER
#define ADD
#define LEAVE
#define GROW(difference)
#endif

#define EXCHANGE(slot, value)                                                                     \
    GROW((value) - leaves[slot])                                                                  \
    leaves[slot] = (value);                                                                       \
    POINT(LEAF)

/* What the word says, `seen` at first, until the word is the same after as before. */
inline leaf_exchange(slot) {
    do
    :: true ->
        atomic { EXCHANGE(slot, (seen == 0 -> 0 : NEW)) }
#ifdef MUTANT_SETTLE_ONE_LOOK
        break
#else
        atomic {
            if
            :: words[slot] == seen -> break
            :: else -> seen = words[slot]
            fi
        }
#endif
    od
}

inline leaf_settle(slot) {
    ENTER
    atomic {
#ifndef MUTANT_SETTLE_WITHOUT_DOUBT
        DOUBT(slot + 1);
#endif
        seen = words[slot]
    }
    leaf_exchange(slot);
    ADD
    SURE
    LEAVE
}

proctype writer(byte me) {
    byte ticket, seen;
    short grown;
    bit held;

    me == 0 || head > 0; /* whoever claims the first ticket is called writer 0 */
again:
    slot_take();
#ifdef CLEAR
    if
    :: ticket >= base
    :: else ->
        atomic { words[ticket % ROWS] = 0; POINT(RELEASED) }
#ifndef MUTANT_RELEASE_KEEPS_LEAF
        /* Held or not: a slot that was empty may wait for its leaf to be emptied too. */
        leaf_settle(ticket % ROWS);
#endif
        goto again
    fi;
#endif
    ENTER
    atomic { EXCHANGE(ticket % ROWS, NEW) }
    ADD
    LEAVE
    atomic { words[ticket % ROWS] = WHOLE(ticket); POINT(COMMITTED) }
    goto again;

returned:
    running--;
killed:
    /* Nobody reads what was in hand: states that differ there alone are one. */
    atomic { ticket = 0; seen = 0; grown = 0; held = false }
}

/* It has the id of a row that it sees; any other id would change nothing. */
proctype learner() {
    byte me = LEARNER;
    byte slot, seen, left = UPDATES;
    short grown;

again:
    atomic {
        seen = 0;
        if
        :: left == 0 -> goto returned
        :: else -> left--
        fi;
        select(slot : 0 .. ROWS - 1);
        seen = words[slot];
        if
        :: seen == 0 || ODD(seen) -> goto again
        :: else
        fi
    }
    ENTER
#ifdef MUTANT_DOUBT_LATE
    atomic { EXCHANGE(slot, UPDATED(seen)) }
    atomic { DOUBT(seen) }
#else
    atomic { DOUBT(seen); EXCHANGE(slot, UPDATED(seen)) }
#endif
#ifndef MUTANT_UPDATE_ONE_LOOK
    if
    :: words[slot] == seen
    :: else ->
        seen = words[slot];
        leaf_exchange(slot)
    fi;
#endif
    ADD
    SURE
    LEAVE
    goto again;

returned:
    running--;
killed:
    atomic { slot = 0; seen = 0; left = 0; grown = 0 }
}

#ifdef CLEAR
proctype clearer() {
    byte me = CLEARER;
    byte slot, seen;

    CLEAR_SLOTS(leaf_settle(slot));
    running--;
killed:
    atomic { slot = 0; seen = 0 }
}
#endif

inline quiet_ask() {
#ifndef MUTANT_LEAVE_THE_DEAD_INSIDE
    inside[member] = inside[member] & !found[member];
#endif
#ifndef MUTANT_MEND_BLINDLY
    if
    :: inside[member] -> COME_AGAIN
    :: else
    fi;
#endif
    entered[member] = false
}

inline quiet_still() {
    if
    :: inside[member] || entered[member] -> COME_AGAIN
    :: else
    fi
}

/* One process repairs at a time. If it is killed, the next one begins anew. */
proctype repairer() {
    byte me = REPAIRER;
    byte slot, seen, member;
    short grown;
    bit found[MEMBERS];
    bit alone;

    goto again;
killed:
    atomic { me++; running++ };
again:
    atomic {
        slot = 0; seen = 0; grown = 0; member = 0;
#ifdef SUM
        asked = false;
        EACH(member, MEMBERS, entered[member] = false)
#endif
    };
end_watching:
    dead_find();
#ifdef MUTANT_SETTLE_THE_FREED_ALONE
    do
    :: slot < ROWS ->
        if
        :: ODD(words[slot]) && found[WRITER(words[slot])] ->
            atomic { slot_free() };
            leaf_settle(slot)
        :: else
        fi;
        atomic { seen = 0; slot++ }
    :: else -> slot = 0; break
    od;
#else
    EACH(slot, ROWS, slot_free());
#endif

#ifndef MUTANT_DOUBT_NOTHING
doubting:
    /* One step: what the dead doubted stays as it is, and only one word is looked at. */
    atomic {
        do
        :: member < MEMBERS && (!found[member] || doubts[member] == 0) -> member++
        :: else -> break
        od;
        if
        :: member == MEMBERS -> member = 0; goto sure
        :: else -> slot = DOUBTED(doubts[member])
        fi;
        if
        :: words[slot] == doubts[member] -> goto settled /* the row that the priority is for */
        :: else
        fi
    }
    leaf_settle(slot);
settled:
    atomic { slot = 0; seen = 0; doubts[member] = 0; MAY_DIE }
    goto doubting;
sure:
#endif

#ifndef MUTANT_SETTLE_THE_FREED_ALONE
    /* A pass over all: of one who died between an empty slot and its leaf nothing else tells. */
    do
    :: slot < ROWS ->
        if
        :: words[slot] == 0 ->
            if
            :: leaves[slot] != 0 -> leaf_settle(slot)
            :: else
            fi
        :: else
        fi;
        atomic { seen = 0; slot++ }
    :: else -> slot = 0; break
    od;
#endif

#ifdef SUM
#ifdef MUTANT_MEND_TRUSTS_ZERO
    grown = - total;
    EACH(slot, ROWS, grown = grown + leaves[slot]);
    if
    :: grown == 0 ->
        EACH(member, MEMBERS, inside[member] = inside[member] & !found[member]);
        goto mended
    :: else -> grown = 0
    fi;
#endif
    asked = true;
    EACH(member, MEMBERS, quiet_ask());
    grown = - total;
    EACH(slot, ROWS, grown = grown + leaves[slot]);
#ifndef MUTANT_MEND_BLINDLY
    EACH(member, MEMBERS, quiet_still());
#endif
    atomic { total = total + grown; grown = 0; POINT(MENDED) }
#ifdef MUTANT_MEND_TRUSTS_ZERO
mended:
#endif
#endif
    dead_forget();
    goto again;

quiet:
    /* All have returned, or are dead and repaired. */
    atomic {
        EACH(slot, ROWS,
            assert(!ODD(words[slot]));
            assert(words[slot] != 0 || leaves[slot] == 0);
            assert(words[slot] == 0 || leaves[slot] == NEW || leaves[slot] == UPDATED(words[slot]));
            GROW(leaves[slot])
            skip);
#ifdef SUM
        assert(total == grown)
#endif
    }
}

init {
    byte number;

    atomic {
        EACH(number, WRITERS, run writer(number); running++);
        run learner();
        running++;
#ifdef CLEAR
        run clearer();
        running++;
#endif
        run repairer()
    }
}
