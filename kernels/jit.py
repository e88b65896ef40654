"""
The one place that owns how a kernel is compiled and cached.

`kernel` marks a function as a kernel. It is `numba.njit` with the options below, with a cache that
is keyed on every file of this package, and with a second, lighter form for use inside other
compiled functions.

nogil
    Kernels run without the interpreter's lock where their caller asks for it (`entry_point`).
error_model="numpy"
    A division by zero gives inf or nan instead of raising. Kernels never raise, and the branch
    that would raise keeps LLVM from vectorising a loop.
no_rewrites
    Numba looks for array expressions to fuse; kernels are written in loops.
cache
    Numba's own cache compares the file of the function only. A kernel whose machine code contains
    a callee, an intrinsic or a constant of another file would go on running the old code after
    that file changed. Here any change in `kernels/` compiles every kernel anew, and so does
    switching NUMBA_BOUNDSCHECK. Kernels with fault points are kept beside those without.
"""

import contextlib
import functools
import hashlib
import os
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import numba
from numba.core import config, types
from numba.core.caching import FunctionCache, IndexDataCacheFile
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import CPUDispatcher
from numba.core.types.functions import BaseFunction

from kernels import faults

#: True where NUMBA_DISABLE_JIT=1 runs every kernel as plain Python.
INTERPRETED = bool(config.DISABLE_JIT)

_OPTIONS = {"error_model": "numpy", "no_rewrites": True}


def target_options() -> dict[str, Any]:
    """Give the options that every form of a kernel is compiled with."""
    return dict(_OPTIONS)


@functools.cache
def fingerprint() -> str:
    """
    Hash the sources of this package and what else changes its machine code.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for path in sorted(pathlib.Path(__file__).parent.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    digest.update(repr((numba.__version__, bool(config.BOUNDSCHECK), faults.ENABLED)).encode())
    return digest.hexdigest()


class KernelCache(FunctionCache):  # type: ignore[misc]  # Numba has no annotations
    """A function's cache on disk, valid while its own file and all of `kernels/` are unchanged."""

    def __init__(self, function: Callable[..., Any], form: str) -> None:
        super().__init__(function)
        # Numba's key leaves options out: two forms would take each other's machine code.
        base = self._impl.filename_base + form
        # Not by the stamp alone: a test and the child that it kills run at the same time, and
        # would replace each other's machine code.
        base += ".faults" if faults.ENABLED else ""
        stamp = (self._impl.locator.get_source_stamp(), fingerprint())
        self._cache_file = IndexDataCacheFile(self._cache_path, base, stamp)


#: What functions gave for argument types: the function that was asked first, and its signature.
_signatures: dict[Any, tuple[Any, Any]] = {}
_ask = BaseFunction.get_call_type


def _remember(function: Any, context: Any, args: Any, kws: Any) -> Any:
    """Ask a function for its signature, in place of Numba's own way."""
    known = None if kws else _signatures.get((function.typing_key, args))
    if known is None:
        signature = _ask(function, context, args, kws)
        if not kws and signature is not None:
            _signatures[function.typing_key, args] = function, signature
        return signature
    first, signature = known
    function._impl_keys[signature.args] = first._impl_keys[signature.args]
    return signature


@contextlib.contextmanager
def remembering() -> Iterator[None]:
    """
    Let Numba's type inference remember what a function gives for argument types.

    At each `+` of each kernel it asks every candidate anew, NumPy's ufuncs among them: half of the
    time that a kernel takes to compile. Only while a kernel compiles, under the compiler's lock.
    """
    with global_compiler_lock:
        outer = BaseFunction.get_call_type
        BaseFunction.get_call_type = _remember  # type: ignore[assignment, method-assign]
        try:
            yield
        finally:
            BaseFunction.get_call_type = outer  # type: ignore[method-assign]


class KernelDispatcher(CPUDispatcher):  # type: ignore[misc]  # Numba has no annotations
    """A kernel as Python calls it."""

    def compile(self, signature: Any) -> Any:
        """Compile for argument types, or take the machine code from the cache."""
        with remembering():
            return super().compile(signature)


class NestedDispatcher(CPUDispatcher):  # type: ignore[misc]  # Numba has no annotations
    """
    A kernel as other compiled functions see it: without the wrappers for calls from Python.

    Wrappers are most of a short kernel's compile time, and its caller links it in, optimises the
    whole and makes machine code of that: doing the same for the kernel alone would be lost work.
    A constant argument counts as any number of its type; Numba would compile the kernel anew for
    each constant.
    """

    def __init__(self, function: Callable[..., Any], *_: Any) -> None:
        # What else comes are the options it was made with, where Numba's cache makes it anew: for
        # a function that was given a kernel as an argument.
        super().__init__(function, targetoptions={"nopython": True, **_OPTIONS})
        self._compiler._customize_flags = self._without_wrappers

    @staticmethod
    def _without_wrappers(flags: Any) -> Any:
        flags.no_compile = True
        flags.no_cpython_wrapper = True
        flags.no_cfunc_wrapper = True
        return flags

    def get_call_template(self, args: Any, kws: Any) -> Any:
        """Find the form for argument types, as Numba's type inference asks for it."""
        known = tuple(types.unliteral(arg) for arg in args)  # type: ignore[attr-defined]
        return super().get_call_template(known, kws)

    def compile(self, signature: Any) -> Any:
        """Compile for argument types, up to what a caller links in."""
        known = self.overloads.get(tuple(signature))
        if known is not None:
            return known.entry_point
        with remembering():
            result = self._compiler.compile(tuple(signature), None)
            _leave_to_caller(result.library)
        # The entry is never called, it only has to tell this kernel from others.
        result = result._replace(entry_point=object())
        self.targetctx.insert_user_function(result.entry_point, result.fndesc, [result.library])
        self.overloads[tuple(signature)] = result
        return result.entry_point


def _leave_to_caller(library: Any) -> None:
    """Keep Numba from optimising a library and making machine code of it before it is linked."""

    def finalize() -> None:
        library._finalize_dynamic_globals()
        library._finalized = True

    library._optimize_final_module = lambda: None
    library._finalize_final_module = finalize


class Kernel:
    """
    A stateless compiled function, callable from Python and from compiled functions.

    Parameters
    ----------
    function : callable
        Takes arrays and numbers, raises nothing.

    Attributes
    ----------
    py_func : callable
        The function as it was written.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        functools.update_wrapper(self, function)
        self.py_func = function
        self._forms: dict[bool, Any] = {}
        # Kept here: the type holds its dispatcher by a weak reference.
        self._nested = NestedDispatcher(function)
        self._numba_type_ = types.Dispatcher(self._nested)

    def __call__(self, *arguments: Any) -> Any:
        """Run the kernel, without the interpreter's lock."""
        return self.form(True)(*arguments)

    def form(self, nogil: bool) -> Any:
        """
        Give the form that Python calls.

        Parameters
        ----------
        nogil : bool
            Whether the interpreter's lock is let go during the call.

        Returns
        -------
        numba.core.dispatcher.Dispatcher
        """
        form = self._forms.get(nogil)
        if form is None:
            # Nothing calls a kernel through C's convention: half of its wrappers are for that.
            options = {"nopython": True, "nogil": nogil, "no_cfunc_wrapper": True, **_OPTIONS}
            form = KernelDispatcher(self.py_func, targetoptions=options)
            # What was typed into a notebook is not kept: a cell's kernel would not notice that
            # one it calls was changed in another cell.
            if os.path.exists(self.py_func.__code__.co_filename):
                try:
                    form._cache = KernelCache(self.py_func, ".nogil" if nogil else "")
                except RuntimeError:
                    # No folder of this machine takes the cache (a read-only install and no
                    # home): the kernel compiles in every process, which is slow and correct.
                    pass
            self._forms[nogil] = form
        return form


def kernel(function: Callable[..., Any]) -> Any:
    """
    Compile a function at its first call, and keep the machine code for later processes.

    Also for an agent's own functions that call kernels: their cache then notices a change in
    `kernels/`, which that of `numba.njit(cache=True)` does not. Of an agent in several files it
    notices a change in the file of the outermost function alone. In a notebook nothing is kept.

    Parameters
    ----------
    function : callable
        Takes arrays and numbers, raises nothing.

    Returns
    -------
    Kernel
        The function itself under NUMBA_DISABLE_JIT=1.
    """
    return function if INTERPRETED else Kernel(function)


def interpreted(kernel: Any) -> Callable[..., Any]:
    """
    Give the plain Python function of a kernel, to set something up without compiling it.

    Parameters
    ----------
    kernel : Kernel

    Returns
    -------
    callable
    """
    return getattr(kernel, "py_func", kernel)


def entry_point(kernel: Any, signature: Any, *, nogil: bool = False) -> Callable[..., Any]:
    """
    Compile a kernel for one signature and give its bare entry.

    A call of the entry skips the dispatcher's look at each argument's type, the larger part of a
    short call: only for callers who know the types they pass.

    Parameters
    ----------
    kernel : Kernel
    signature : tuple of numba types
    nogil : bool
        Whether the interpreter's lock is let go during the call: for long ones. To get it back
        costs more than a short call takes.

    Returns
    -------
    callable
        The function itself under NUMBA_DISABLE_JIT=1.
    """
    if INTERPRETED:
        return kernel
    form = kernel.form(nogil)
    form.compile(signature)
    return form.overloads[signature].entry_point


if hasattr(os, "register_at_fork") and not INTERPRETED:
    # A child that is forked while another thread compiles inherits the compiler's lock, which
    # nobody there will ever let go. So whoever forks waits for the compiler first.
    os.register_at_fork(
        before=global_compiler_lock.acquire,
        after_in_parent=global_compiler_lock.release,
        after_in_child=global_compiler_lock.release,
    )
