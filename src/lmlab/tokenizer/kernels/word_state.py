"""What the counting kernels and their caller agree on: return codes and ``counter``."""

from __future__ import annotations

DONE, GROW_SHORT, GROW_LONG, GROW_TEXT = range(4)

# ``counter`` is an array of int64 with one number at each of these.
(
    PLACE,  # where the text not yet segmented begins
    STOP,  # where the segment at hand ends
    IN_SEGMENT,  # 1 while a segment is at hand
    WORD,  # where the next word begins
    FOUND,  # words whose ends are known but not yet counted
    SHORT,  # words in the table of short ones
    SHORT_SIZE,  # places there, a power of two
    SHORT_BYTES,  # of these words together
    LONG,  # the same for long ones
    LONG_SIZE,
    TEXT,  # bytes of the long words together
    TEXT_SIZE,  # room for them
    NEEDED,  # room that TEXT_SIZE must have at least
    MALFORMED,  # 1 + the place of a malformed byte, or 0
    NEXT,  # place in the table that is being absorbed
    COUNTER_SIZE,
) = range(16)

SHORT_FIELDS = 3  # two of the word, one of its count
LONG_FIELDS = 4  # hash, start and size in the text, count
LONGEST_SHORT = 15  # the sixteenth byte holds the size
BATCH = 1024  # words between two looks at the room that is left
