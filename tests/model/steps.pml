/*
 * What the models share: the words of the slots, how one is taken, and how a process is killed.
 *
 * A POINT stands behind the step of its name, as fault_point does in the kernels. Who is killed
 * later, before the next step, looks the same to all others as who is killed here.
 *
 * An atomic block is one atomic instruction of the code, and what follows from it in registers.
 */

#ifndef WRITERS
#define WRITERS 2
#endif
#ifndef ROWS
#define ROWS 2 /* slots of the stream */
#endif
#ifndef TICKETS
#define TICKETS 4 /* claims of all writers together: more than ROWS, so that they lap */
#endif
#ifndef KILLS
#define KILLS 1 /* processes killed, of any kind; 2: a repairer too */
#endif

/* As in kernels/ring.py, with fewer bits. */
#define WHOLE(ticket) ((ticket + 1) << 4)
#define FILLING(ticket, writer, held) (WHOLE(ticket) | (writer) << 2 | (held) << 1 | 1)
#define ODD(word) ((word) & 1)
#define HELD(word) (((word) >> 1) & 1)
#define WRITER(word) (((word) >> 2) & 3)
#define NEXT(word) ((word) >> 4) /* ticket + 1; 0: empty */

byte head; /* the next ticket */
byte base; /* tickets below it were cleared away */
byte words[ROWS];

byte kills = KILLS;
/* What the locks tell for certain: dead, and not repaired yet; and how many are. */
bit dead[MEMBERS];
byte losses;
/* How many have neither returned nor been repaired; only the checks ask. */
byte running;

#define DIE                                                                                       \
    kills--;                                                                                      \
    dead[me] = true;                                                                              \
    losses++;                                                                                     \
    goto killed

#define POINT(name) MAY_DIE

/* Where the kernels have no label. */
#define MAY_DIE                                                                                   \
    if                                                                                            \
    :: true                                                                                       \
    :: kills > 0 -> DIE                                                                           \
    fi

/* A step for each number from 0 on; the number is 0 again after. */
#define EACH(number, end, step)                                                                   \
    do                                                                                            \
    :: atomic { number < end -> step; number++ }                                                  \
    :: atomic { number == end -> number = 0; break }                                              \
    od

/* ring_claim and ring_take; `held`: a row was there. A ticket that is burnt goes to `again`. */
inline slot_take() {
    atomic {
        ticket = 0;
        held = false;
        seen = 0;
        if
        :: head == TICKETS -> goto returned
        :: else -> ticket = head; head++
        fi;
        POINT(CLAIMED)
    }
    atomic {
#ifdef MUTANT_WAIT_FOR_THE_SLOT
        !ODD(words[ticket % ROWS]);
#endif
        seen = words[ticket % ROWS];
        if
        :: ODD(seen) || NEXT(seen) > ticket -> goto again
        :: else
        fi
    }
    atomic {
#ifndef MUTANT_TAKE_BY_STORE
        if
        :: words[ticket % ROWS] != seen -> goto again
        :: else
        fi;
#endif
        held = (seen != 0);
        seen = 0;
        words[ticket % ROWS] = FILLING(ticket, me, held);
        POINT(TAKEN)
    }
}

/* ring_rebase and ring_clear, then `emptied` for each slot that held an older row. */
#define CLEAR_SLOTS(emptied)                                                                      \
    seen = head;                                                                                  \
    atomic { base = seen; POINT(REBASED) }                                                        \
    do                                                                                            \
    :: slot < ROWS ->                                                                             \
        seen = words[slot];                                                                       \
        if                                                                                        \
        :: !ODD(seen) && seen != 0 && NEXT(seen) <= base ->                                       \
            atomic {                                                                              \
                if                                                                                \
                :: words[slot] == seen -> words[slot] = 0; seen = 0; POINT(CLEARED)               \
                :: else -> goto next                                                              \
                fi                                                                                \
            }                                                                                     \
            emptied                                                                               \
        :: else                                                                                   \
        fi;                                                                                       \
next:                                                                                             \
        atomic { seen = 0; slot++ }                                                               \
    :: else -> break                                                                              \
    od

/* Repair begins when a lock tells that somebody is dead. `alone`: of the others nobody is left. */
inline dead_find() {
    atomic {
        if
        :: running == 0 -> goto quiet
        :: losses > 0
#ifdef MUTANT_FREE_THE_LIVING
        :: losses == 0
#endif
        fi;
        alone = (losses == running);
        EACH(member, MEMBERS, found[member] = dead[member])
    }
}

inline slot_free() {
    if
#ifdef MUTANT_FREE_THE_LIVING
    :: ODD(words[slot]) ->
#else
    :: ODD(words[slot]) && found[WRITER(words[slot])] ->
#endif
        words[slot] = 0; /* a compare-and-swap that cannot fail: the dead do not move */
        POINT(FREED)
    :: else
    fi
}

/* What cannot be told now: only because somebody else is on the way. */
#define COME_AGAIN                                                                                \
    assert(!alone);                                                                               \
    goto again

/* What the dead left is put right, and their numbers are free. */
inline dead_forget() {
    atomic {
        EACH(member, MEMBERS,
            losses = losses - found[member];
            running = running - found[member];
            dead[member] = dead[member] & !found[member])
    }
}
