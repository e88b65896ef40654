/*
 * Slots, rows and readers, step by step: no reader accepts a torn row, no slot is taken over, no
 * writer waits, and repair, beside the others, frees what the dead hold and counts anew.
 *
 * With NO_REPAIR the dead keep their slots, and the others come to their ends all the same. As far
 * as they can tell, a process that is stopped for ever is one of these dead.
 */

/* The writers, the repairer, and those who follow it if it is killed. */
#define REPAIRER WRITERS
#define MEMBERS (REPAIRER + KILLS)

#include "steps.pml"

byte filled;
/* A row is two cells, written and read one by one; both hold its ticket + 1. */
byte fronts[ROWS];
byte backs[ROWS];

/* Only the checks ask: bit t is set once ticket t is committed. */
short committed;
#define WAS_COMMITTED(ticket) (committed & (1 << (ticket)))

/* A committed row is there until a later ticket of its slot is claimed. */
inline kept_check() {
    age = 1;
    do
    :: age <= ROWS && age <= head ->
        assert(!WAS_COMMITTED(head - age)
               || (words[(head - age) % ROWS] == WHOLE(head - age)
                   && fronts[(head - age) % ROWS] == head - age + 1
                   && backs[(head - age) % ROWS] == head - age + 1));
        age++
    :: else -> age = 0; break
    od
}

proctype writer(byte me) {
    byte ticket, seen;
    bit held;

    me == 0 || head > 0; /* whoever claims the first ticket is called writer 0 */
again:
    slot_take();
#ifdef MUTANT_COMMIT_EARLY
    words[ticket % ROWS] = WHOLE(ticket);
#endif
    atomic { fronts[ticket % ROWS] = ticket + 1; POINT(COPYING) }
    atomic { backs[ticket % ROWS] = ticket + 1; POINT(COPIED) }
#ifndef MUTANT_COUNT_LATE
    if
    :: !held -> atomic { filled++; POINT(COUNTED) }
    :: else
    fi;
#endif
    atomic {
#ifndef MUTANT_COMMIT_EARLY
        assert(words[ticket % ROWS] == FILLING(ticket, me, held)); /* nobody took it over */
        words[ticket % ROWS] = WHOLE(ticket);
#endif
        assert(!WAS_COMMITTED(ticket));
        committed = committed | (1 << ticket);
        POINT(COMMITTED)
    }
#ifdef MUTANT_COUNT_LATE
    if
    :: !held -> atomic { filled++; POINT(COUNTED) }
    :: else
    fi;
#endif
    goto again;

returned:
    running--;
killed:
    skip
}

/* One draw at any time stands for all: a reader keeps nothing from one draw to the next. */
proctype reader() {
    byte slot, seen, front, back, age;

    atomic {
        kept_check();
        select(slot : 0 .. ROWS - 1);
        seen = words[slot];
        if
        :: seen == 0 || ODD(seen) -> goto again
        :: else
        fi
    }
    if
    :: front = fronts[slot]; back = backs[slot]
    :: back = backs[slot]; front = fronts[slot]
    fi;
    atomic {
#ifndef MUTANT_READ_ONE_LOOK
        if
        :: words[slot] != seen -> goto again
        :: else
        fi;
#endif
        assert(front == NEXT(seen) && back == NEXT(seen))
    }
again:
    skip
}

#ifndef NO_REPAIR
inline slot_count() {
    seen = words[slot];
    if
#ifndef MUTANT_RECOUNT_ANYWAY
    :: ODD(seen) && !HELD(seen) -> COME_AGAIN /* counted already or not: nobody knows */
#endif
    :: else -> holding = holding + (seen != 0)
    fi;
    seen = 0
}

/* One process repairs at a time. If it is killed, the next one begins anew. */
proctype repairer() {
    byte me = REPAIRER;
    byte slot, seen, before, holding, member, age;
    bit found[MEMBERS];
    bit alone;

    goto again;
killed:
    atomic { me++; running++ };
again:
    atomic { slot = 0; seen = 0; before = 0; holding = 0; member = 0 };
end_watching:
    dead_find();
    EACH(slot, ROWS, slot_free());

    before = filled;
    EACH(slot, ROWS, slot_count());
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
        kept_check();
        EACH(slot, ROWS,
            assert(!ODD(words[slot]));
            assert(words[slot] == 0
                   || (fronts[slot] == NEXT(words[slot]) && backs[slot] == NEXT(words[slot])));
            holding = holding + (words[slot] != 0));
        assert(filled == holding)
    }
}
#endif

init {
    byte number;

    atomic {
        EACH(number, WRITERS, run writer(number); running++);
        run reader();
#ifndef NO_REPAIR
        run repairer()
#endif
    }
}
