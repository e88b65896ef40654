"""
What kernels that CPython calls as methods have in common.

Such a kernel is a C function of METH_FASTCALL | METH_KEYWORDS: it is given self, the address of
the arguments, how many of them have no name, and a tuple of the names of the others or 0, all as
integers. It gives a new reference, or 0 where Python has an error set. It raises nothing itself:
whatever is not the plainest case goes, with the same arguments, to a method in Python that
explains or converts.

`kernels.structure` verifies what is read of objects here.
"""

from kernels.addresses import (
    PAGE,
    address_of,
    load_int32,
    load_int64,
    stack_page,
    store_int64,
)
from kernels.interpreter import (
    HANDLE_AT,
    HANDLE_TYPE,
    call_method,
    drop_reference,
    raw_free,
    raw_memory,
    word,
)
from kernels.jit import kernel
from kernels.objects import TYPE, tuple_size

#: How many references an object has, in 32 bits.
REFERENCES = 0
#: Of a list.
LIST_SIZE = 16
LIST_ITEMS = 24
#: Where an array keeps the weak references to it.
ARRAY_WEAK = 72


@kernel
def method_owner(me: int) -> int:
    """
    Find the handle of a buffer, a writer or a reader.

    Parameters
    ----------
    me : int
        Address of the object.

    Returns
    -------
    int
        Address of the handle's object; 0: it has none, or not yet.

    Notes
    -----
    Units: none.
    Cost: a few loads.
    Errors: none.
    Sharing: reads alone.
    Source: own.
    """
    owner = load_int64(me + word(HANDLE_AT))
    if owner == 0 or load_int64(owner + TYPE) != word(HANDLE_TYPE):
        return 0
    return owner


@kernel
def method_given(count: int, names: int) -> int:
    """Count the arguments of a call, those with names among them."""
    return count + (tuple_size(names) if names != 0 else 0)


@kernel
def method_python(
    name: int, me: int, first: int, second: int, arguments: int, count: int, names: int
) -> int:
    """
    Go on in Python, with the arguments of the call.

    Parameters
    ----------
    name : int
        Address of the name of a method of `me`.
    me : int
    first, second : int
        References that come before the arguments, and are given up; 0: none.
    arguments, count, names : int
        As this call was given them.

    Returns
    -------
    int
        What the method gives.

    Notes
    -----
    Units: none.
    Cost: that of the method.
    Errors: those of the method.
    Sharing: the interpreter's lock is held.
    Source: CPython, Vectorcall protocol (PEP 590).
    """
    given = method_given(count, names)
    page = stack_page()
    at = address_of(page)
    if given + 3 > PAGE:
        at = raw_memory((given + 3) * 8)
        if at == 0:
            # No memory for so many: the method says that values are missing.
            at, given, count, names = address_of(page), 0, 0, 0
    store_int64(at, me)
    before = 1
    if first != 0:
        store_int64(at + before * 8, first)
        before += 1
    if second != 0:
        store_int64(at + before * 8, second)
        before += 1
    for place in range(given):
        store_int64(at + (before + place) * 8, load_int64(arguments + place * 8))
    result = call_method(name, at, before + count, names)
    if at != address_of(page):
        raw_free(at)
    if first != 0:
        drop_reference(first)
    if second != 0:
        drop_reference(second)
    return result


@kernel
def array_free(thing: int) -> bool:
    """
    Say whether an array is held by one who asks, and by nobody else.

    Parameters
    ----------
    thing : int
        Address of an array.

    Returns
    -------
    bool

    Notes
    -----
    Units: none.
    Cost: two loads.
    Errors: none.
    Sharing: the interpreter's lock is held: nobody can come by a reference meanwhile.
    Source: CPython, Py_REFCNT. A view, a memoryview, a tensor over the same memory each hold a
    reference; a weak one would find the array alive, and counts as well.
    """
    return load_int32(thing + REFERENCES) == 1 and load_int64(thing + ARRAY_WEAK) == 0
