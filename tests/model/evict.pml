/*
 * Rows whose bytes are claimed for newer ones, step by step: no reader accepts a row with bytes of
 * another one, and in the end no row is left below the floor, but for those a round behind.
 *
 * A claim of bytes is one step here: heap.pml has its own.
 */

/* The writers, the repairer, and those who follow it if it is killed. */
#define REPAIRER WRITERS
#define MEMBERS (REPAIRER + KILLS)

#include "steps.pml"

#ifndef ROOM
#define ROOM 4 /* bytes of the ring */
#endif
#define SIZE 2 /* of a row: two cells, written and read one by one */

byte next; /* the position of the next byte */
byte floor; /* tickets below it have lost their bytes */

/* A byte says whose it is, by the ticket + 1. */
byte bytes[ROOM];
/* Where the bytes of a slot's row begin. */
byte entries[ROWS];
/* A line of claims for each writer. */
bit writing[WRITERS];
byte starts[WRITERS];

#define COPY_BYTES                                                                                \
    atomic { bytes[position % ROOM] = ticket + 1; POINT(COPYING) };                               \
    atomic { bytes[(position + 1) % ROOM] = ticket + 1; POINT(COPYING) };
#define LEAVE atomic { writing[me] = false; MAY_DIE };

inline bytes_claim() {
    atomic {
        do
        :: line < WRITERS && writing[line] && (next - starts[line]) % ROOM < SIZE ->
            next = starts[line] + SIZE + (next - starts[line]) / ROOM * ROOM;
            line = 0
        :: line < WRITERS && writing[line] && (starts[line] + 16 * ROOM - next) % ROOM < SIZE ->
            next = next + (starts[line] + 16 * ROOM - next) % ROOM + SIZE;
            line = 0
        :: line == WRITERS -> break
        :: else -> line++
        od;
        line = 0;
        position = next;
        next = position + SIZE;
        starts[me] = position;
        writing[me] = true;
        POINT(SPACED)
    }
}

/* Older rows too: their writers were a round behind, and met a slot that was emptied. */
#define GONE(word, ticket) ((word) != 0 && !ODD(word) && NEXT(word) <= ticket + 1)

inline slot_evict(gone) {
    if
    :: GONE(words[gone % ROWS], gone) -> words[gone % ROWS] = 0; POINT(EVICTED)
    :: else
    fi
}

inline rows_evict() {
    atomic {
        limit = (next > ROOM -> next - ROOM : 0);
        last = head;
        oldest = (last > ROWS -> last - ROWS : 0);
        oldest = (oldest > floor -> oldest : floor)
    };
    do
    :: limit > 0 && oldest < last ->
        atomic {
            seen = words[oldest % ROWS];
            if
            :: seen == WHOLE(oldest) && entries[oldest % ROWS] >= limit -> break
            :: seen != WHOLE(oldest) && oldest >= ticket ->
                /* Nobody can tell whether it goes. */
                passed = (passed == 0 -> oldest + 1 : passed);
                goto next_one
            :: else
            fi
        };
#ifdef MUTANT_FLOOR_LATE
        atomic { slot_evict(oldest) };
        atomic { floor = (floor > oldest + 1 -> floor : oldest + 1); MAY_DIE };
#else
        atomic { floor = (floor > oldest + 1 -> floor : oldest + 1); MAY_DIE };
#ifdef MUTANT_EVICT_ONE_LOOK
        atomic {
            if
            :: seen == WHOLE(oldest) -> slot_evict(oldest)
            :: else
            fi
        };
#else
#ifdef MUTANT_EVICT_NONE_PASSED
        passed = 0;
#endif
        /* Those that were passed over too; the number is the first one's ticket + 1. */
        passed = (passed == 0 -> oldest + 1 : passed);
        do
        :: passed <= oldest + 1 -> atomic { slot_evict((passed - 1)); passed++ }
        :: else -> passed = 0; break
        od;
#endif
#endif
next_one:
        atomic { seen = 0; oldest++ }
    :: else -> break
    od;
    atomic { limit = 0; oldest = 0; seen = 0; passed = 0; last = 0 }
}

proctype writer(byte me) {
    byte ticket, seen, position, limit, line, oldest, last, passed;
    bit held;

    me == 0 || head > 0; /* whoever claims the first ticket is called writer 0 */
again:
    slot_take();
    held = 0;
    bytes_claim();
#ifdef MUTANT_LEAVE_EARLY
    LEAVE
#endif
    COPY_BYTES
    atomic { entries[ticket % ROWS] = position; position = 0; POINT(COPIED) };
#ifndef MUTANT_LEAVE_EARLY
    LEAVE
#endif
    rows_evict();
#ifdef MUTANT_SETTLE_EARLY
    seen = floor;
#endif
    atomic { words[ticket % ROWS] = WHOLE(ticket); POINT(COMMITTED) };
#ifndef MUTANT_SETTLE_EARLY
    seen = floor;
#endif
    atomic {
        if
        :: ticket < seen -> slot_evict(ticket)
        :: else
        fi;
        seen = 0
    }
    goto again;

returned:
    running--;
killed:
    skip
}

/* One draw at any time stands for all: a reader keeps nothing from one draw to the next. */
proctype reader() {
    byte slot, seen, entry, front, back;

    atomic {
        select(slot : 0 .. ROWS - 1);
        seen = words[slot];
        if
        :: seen == 0 || ODD(seen) -> goto again
        :: else
        fi
    };
    entry = entries[slot];
    if
    :: front = bytes[entry % ROOM]; back = bytes[(entry + 1) % ROOM]
    :: back = bytes[(entry + 1) % ROOM]; front = bytes[entry % ROOM]
    fi;
#ifdef MUTANT_ENTRY_AFTER_THE_WORD
    atomic {
        if
        :: words[slot] != seen -> goto again
        :: else
        fi
    };
#endif
    entry = entries[slot];
#ifndef MUTANT_READ_WHATEVER_STANDS
    atomic {
        if
        :: next > entry + ROOM -> goto again
        :: else
        fi
    };
#endif
    atomic {
#ifndef MUTANT_ENTRY_AFTER_THE_WORD
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

inline line_free() {
    if
    :: found[line] -> writing[line] = false
    :: else
    fi
}

/* Of a row that was committed after it had lost its bytes, its writer alone knew. */
inline slot_forget() {
    if
#ifndef MUTANT_FORGET_NOTHING
    :: !ODD(words[slot]) && words[slot] != 0 && NEXT(words[slot]) <= floor -> words[slot] = 0
#endif
    :: else
    fi
}

/* One process repairs at a time. If it is killed, the next one begins anew. */
proctype repairer() {
    byte me = REPAIRER;
    byte slot, member, line;
    bit found[MEMBERS];
    bit alone;

    goto again;
killed:
    atomic { me++; running++ };
again:
    atomic { slot = 0; member = 0; line = 0 };
end_watching:
    dead_find();
    EACH(line, WRITERS, line_free());
    EACH(slot, ROWS, slot_free());
    EACH(slot, ROWS, slot_forget());
    dead_forget();
    goto again;

quiet:
    /* All have returned, or are dead and repaired. What is a round behind has its slot only until
       the next ticket's row comes, as in a ring without bytes. */
    EACH(slot, ROWS,
        assert(!ODD(words[slot]));
        assert(words[slot] == 0 || NEXT(words[slot]) > floor || NEXT(words[slot]) + ROWS <= head))
}

init {
    byte number;

    atomic {
        EACH(number, WRITERS, run writer(number); running++);
        run reader();
        run repairer()
    }
}
