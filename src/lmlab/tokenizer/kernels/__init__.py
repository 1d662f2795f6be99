"""Machine code for the tokenizer's hot loops, without a compiler on the user's machine.

A *group* is a module of this package whose functions are written in Python for numba and marked
with :func:`lmlab.tokenizer.kernels.language.kernel`. :func:`lmlab.tokenizer.kernels.library.load`
returns a group's kernels as plain C functions:

1. The user's cache folder holds the object code of the group, keyed by the sources of this package,
   the version of llvmlite, and the CPU. llvmlite loads it in milliseconds.
2. If it is not cached, llvmlite compiles the intermediate representation in ``ir/``, which takes
   about a second, prints a line to stderr, and caches the result.
3. If the sources have changed since, or llvmlite is older than ``ir/``, numba runs first, for some
   seconds. ``python -m lmlab.tokenizer.kernels.compile_ir`` updates ``ir/``.
4. If llvmlite or, for 3, numba is missing, ``load`` returns None and callers use pure Python, which
   is slower but gives the same result; one line on stderr says so once.

Rules for kernels. They take int64 values and pointers, return an int64, and use no Python object,
so they run without the interpreter's lock, in any number of threads. They allocate no memory: the
caller provides every buffer, and a kernel that runs out of space returns a code that says which
buffer to enlarge and is called again. numba converts uint64 mixed with int64 to float64: bit masks
are uint64 throughout, everything else is int64.
"""
