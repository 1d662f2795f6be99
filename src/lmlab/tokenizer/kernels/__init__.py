"""Machine code for the tokenizer's hot loops, without a compiler on the user's machine.

A *group* is a module of this package whose functions are written in Python for numba and marked
with :func:`lmlab.tokenizer.kernels.language.kernel`. :func:`lmlab.tokenizer.kernels.library.load`
returns a group's kernels as plain C functions:

1. The object code of the group lies in the user's cache folder, keyed by the sources of this
   package, the version of llvmlite, and the processor. llvmlite loads it in milliseconds.
2. Where it does not lie there, llvmlite makes it of the intermediate representation in ``ir/``, in
   about a second, told on stderr, and it is stored.
3. Where the sources have changed since, or llvmlite is older than what is in ``ir/``, numba comes
   first, in some seconds; ``python -m lmlab.tokenizer.kernels.compile_ir`` makes ``ir/`` anew.
4. Where llvmlite or, for 3, numba is missing, ``load`` returns None and the callers take their
   paths in pure Python, slower but equal; one line on stderr says so once.

Rules for kernels. They take int64 values and pointers, return an int64, and touch no Python object,
so that they run without the interpreter's lock, in as many threads as call them. They own no
memory: whoever calls hands in every buffer, and a kernel that runs out of room returns a code that
says which buffer to grow and is called again. Mind that numba turns uint64 mixed with int64 into
float64: bit masks are uint64 throughout, everything else is int64.
"""
