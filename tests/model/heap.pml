/*
 * Claims of bytes in a ring of bytes, step by step: nobody is given bytes that somebody else is
 * not done with, however many rounds that takes, and nobody waits. What becomes of the bytes, and
 * of rows that lose them, is in evict.pml.
 *
 * Who is stopped for ever is one who takes no further step: that is a part of every search.
 */

/* The writers, the repairer, and those who follow it if it is killed. */
#define REPAIRER WRITERS
#define MEMBERS (REPAIRER + KILLS)

#include "steps.pml"

#ifndef ROOM
#define ROOM 4 /* bytes of the ring; a row has half of them at most */
#endif
#ifndef SKIPS
#define SKIPS 2 /* claims of others passed over, before a row is given up */
#endif

byte next; /* the position of the next byte */
byte clear = ROOM; /* below it nobody is in the way */

/* A line of claims for each writer: where its bytes begin, and how many they are. */
byte starts[WRITERS];
byte sizes[WRITERS];

/* Only the checks ask: whose line tells of bytes that it may write. */
bit owning[WRITERS];

#define AFTER(other, one) (((other) + 16 * ROOM - (one)) % ROOM)
#define APART(one, its, other, others)                                                            \
    (AFTER(other, one) >= its && AFTER(one, other) >= others)

/* Bytes that were just claimed are nobody else's. */
inline apart_check() {
    owning[me] = true;
    EACH(line, WRITERS,
        assert(line == me || !owning[line] || APART(position, size, starts[line], sizes[line])))
}

#ifdef MUTANT_FORGET_THE_SIZE
#define IN_THE_WAY start <= position
#else
#define IN_THE_WAY start < position + size
#endif
#ifdef MUTANT_CLEAR_BEYOND_A_ROUND
#define A_ROUND 2 * ROOM
#else
#define A_ROUND ROOM
#endif
#ifdef MUTANT_LOOK_ONE_ROUND_BACK
#define ROUNDS_AGO(position) position + ROOM
#else
#define ROUNDS_AGO(position) 255
#endif

/* heap_next; a line's words are loaded one by one. */
inline lines_look() {
    atomic { first = position; limit = position + A_ROUND };
    do
    :: atomic { line < WRITERS && line != me && sizes[line] > 0 -> held = sizes[line] };
        atomic {
            start = starts[line];
            if
            :: start + held <= position && position <= ROUNDS_AGO(start) ->
                do
                :: start + held <= position -> start = start + ROOM
                :: else -> break
                od;
                if
                :: IN_THE_WAY -> first = (first > start + held -> first : start + held)
                :: else
                fi;
                limit = (limit < start -> limit : start)
            :: else /* it lies behind here, or somebody else was first and it will be made anew */
            fi;
            held = 0;
            start = 0;
            line++
        }
    :: atomic { line < WRITERS && (line == me || sizes[line] == 0) -> line++ }
    :: atomic { line == WRITERS -> line = 0; break }
    od
}

proctype writer(byte me) {
    byte size, position, first, limit, line, held, start, skipped;

    me == 0 || head > 0; /* whoever comes first is called writer 0 */
again:
    atomic {
        if
        :: head == TICKETS -> goto returned
        :: else -> head++
        fi;
        select(size : 1 .. ROOM / 2)
    };
claim:
    position = next;
#ifndef MUTANT_NEVER_LOOK
    if
    :: position + size <= clear
    :: atomic { position + size > clear -> skip };
        lines_look();
        atomic {
            if
            :: first != position ->
                /* Leaves the bytes of somebody who is not done to him. */
                next = (next == position -> first : next);
                skipped++;
                first = 0;
                limit = 0;
                if
                :: skipped > SKIPS -> goto left
                :: else -> goto claim
                fi
            :: else -> first = 0
            fi
        };
        atomic { clear = (clear > limit -> clear : limit); limit = 0 }
    fi;
#endif
#ifndef MUTANT_ANNOUNCE_LATE
    /* One step: to whoever has not seen that the line is empty, it may as well be the later one. */
    atomic { sizes[me] = 0; starts[me] = position };
    atomic { sizes[me] = size; POINT(ANNOUNCED) };
#endif
    atomic {
        if
        :: next != position -> goto claim
        :: else -> next = position + size
        fi;
#ifndef MUTANT_ANNOUNCE_LATE
        apart_check();
#endif
        POINT(SPACED)
    };
#ifdef MUTANT_ANNOUNCE_LATE
    atomic { starts[me] = position; sizes[me] = size; apart_check() };
#endif
    /* Here it writes its bytes. */
left:
    atomic { sizes[me] = 0; owning[me] = false; size = 0; position = 0; skipped = 0; MAY_DIE };
    goto again;

returned:
    running--;
killed:
    skip
}

inline line_free() {
    if
#ifdef MUTANT_FREE_EVERY_LINE
    :: !found[line] -> sizes[line] = 0
#endif
    :: found[line] -> sizes[line] = 0; owning[line] = false
    :: else
    fi
}

/* One process repairs at a time. If it is killed, the next one begins anew. */
proctype repairer() {
    byte me = REPAIRER;
    byte member, line;
    bit found[MEMBERS];
    bit alone;

    goto again;
killed:
    atomic { me++; running++ };
again:
    atomic { member = 0; line = 0 };
end_watching:
    dead_find();
    EACH(line, WRITERS, line_free());
    dead_forget();
    goto again;

quiet:
    /* All have returned, or are dead and repaired. */
    EACH(line, WRITERS, assert(sizes[line] == 0))
}

init {
    byte number;

    atomic {
        EACH(number, WRITERS, run writer(number); running++);
        run repairer()
    }
}
