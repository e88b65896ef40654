/*
 * FILLED beside a clear, step by step: whoever is killed, repair counts the slots that hold a row
 * anew, and stops nobody. Rows have no bytes here; ring.pml has those, and no clear.
 */

/* The writers, who clears, the repairer, and those who follow it if it is killed. */
#define CLEARER WRITERS
#define REPAIRER (CLEARER + 1)
#define MEMBERS (REPAIRER + KILLS)

#include "steps.pml"

byte filled;

/* Who is emptying slots; and, for the count of entries, who began to since repair last asked. */
bit clearing[MEMBERS];
bit entered[MEMBERS];
bit asked;
#define ENTER atomic { clearing[me] = true; entered[me] = asked; POINT(ENTERED) }
#define LEAVE atomic { clearing[me] = false; POINT(LEFT) }

proctype writer(byte me) {
    byte ticket, seen;
    bit held;

    me == 0 || head > 0; /* whoever claims the first ticket is called writer 0 */
again:
    slot_take();
    if
    :: ticket >= base
    :: else ->
#ifndef MUTANT_RELEASE_UNANNOUNCED
        ENTER;
#endif
        if
        :: held -> atomic { filled--; POINT(RELEASED) }
        :: else
        fi;
        atomic { words[ticket % ROWS] = 0; POINT(RELEASED) }
#ifndef MUTANT_RELEASE_UNANNOUNCED
        LEAVE;
#endif
        goto again
    fi;
    if
    :: !held -> atomic { filled++; POINT(COUNTED) }
    :: else
    fi;
    atomic { words[ticket % ROWS] = WHOLE(ticket); POINT(COMMITTED) }
    goto again;

returned:
    running--;
killed:
    skip
}

proctype clearer() {
    byte me = CLEARER;
    byte slot, seen;

    ENTER;
    CLEAR_SLOTS(atomic { filled--; POINT(CLEARED) });
    LEAVE;
    running--;
killed:
    skip
}

inline quiet_ask() {
    clearing[member] = clearing[member] & !found[member];
#ifndef MUTANT_RECOUNT_BLINDLY
    if
    :: clearing[member] -> COME_AGAIN
    :: else
    fi;
#endif
    entered[member] = false
}

inline quiet_still() {
    if
    :: clearing[member] || entered[member] -> COME_AGAIN
    :: else
    fi
}

#ifdef MUTANT_RELEASE_UNANNOUNCED
/* Nor does it help to come again where a writer has yet to find out that it is late. */
#define UNKNOWN(word) (!HELD(word) || NEXT(word) <= base)
#else
/* Counted already or not: nobody knows. */
#define UNKNOWN(word) !HELD(word)
#endif

inline slot_count() {
    seen = words[slot];
    if
    :: ODD(seen) && UNKNOWN(seen) -> COME_AGAIN
    :: else -> holding = holding + (seen != 0)
    fi;
    seen = 0
}

/* One process repairs at a time. If it is killed, the next one begins anew. */
proctype repairer() {
    byte me = REPAIRER;
    byte slot, seen, before, holding, member;
    bit found[MEMBERS];
    bit alone;

    goto again;
killed:
    atomic { me++; running++ };
again:
    atomic {
        slot = 0; seen = 0; before = 0; holding = 0; member = 0; asked = false;
        EACH(member, MEMBERS, entered[member] = false)
    };
end_watching:
    dead_find();
    EACH(slot, ROWS, slot_free());

#ifdef MUTANT_FILLED_BEFORE_ASKING
    before = filled;
#endif
    asked = true;
    EACH(member, MEMBERS, quiet_ask());
#ifndef MUTANT_FILLED_BEFORE_ASKING
    before = filled;
#endif
    EACH(slot, ROWS, slot_count());
#ifndef MUTANT_FILLED_AFTER_ASKING
    /* While nobody empties slots FILLED only grows: the same number, and no slot was filled. */
    atomic {
        if
        :: filled != before -> COME_AGAIN
        :: else
        fi
    }
#endif
#ifndef MUTANT_RECOUNT_BLINDLY
    EACH(member, MEMBERS, quiet_still());
#endif
    atomic {
        if
        :: filled != before -> COME_AGAIN
        :: else -> filled = holding
        fi;
        POINT(RECOUNTED)
    }
    dead_forget();
    goto again;

quiet:
    /* All have returned, or are dead and repaired. */
    atomic {
        EACH(slot, ROWS,
            assert(!ODD(words[slot]));
            holding = holding + (words[slot] != 0));
        assert(filled == holding)
    }
}

init {
    byte number;

    atomic {
        EACH(number, WRITERS, run writer(number); running++);
        run clearer();
        running++;
        run repairer()
    }
}
