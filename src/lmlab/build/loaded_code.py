"""Import this module to note the state of lmlab's code as the process has loaded it."""

from lmlab.build.numerics import unrecorded_changes

unrecorded_changes()
