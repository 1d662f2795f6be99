"""Constants shared by the counting kernels and their caller: return codes and ``counter``."""

from __future__ import annotations

DONE, GROW_SHORT, GROW_LONG, GROW_TEXT = range(4)

# Indices into ``counter``, an array of int64.
(
    POSITION,  # start of the text that is not segmented yet
    STOP,  # end of the current segment
    IN_SEGMENT,  # 1 inside a segment
    WORD,  # start of the next word
    FOUND,  # words whose ends are known but that are not counted yet
    SHORT,  # number of short words
    SHORT_SIZE,  # slots in their table, a power of two
    SHORT_BYTES,  # of these words together
    LONG,  # number of long words
    LONG_SIZE,  # slots in their table
    TEXT,  # their bytes in total
    TEXT_SIZE,  # size of the buffer for them
    NEEDED,  # minimum of TEXT_SIZE to continue
    MALFORMED,  # 1 + position of a malformed byte, or 0
    NEXT,  # next slot of the table being added
    COUNTER_SIZE,
) = range(16)

SHORT_FIELDS = 3  # two of the word, one for its count
LONG_FIELDS = 4  # hash, start and size in the text, count
LONGEST_SHORT = 15  # the sixteenth byte holds the size
BATCH = 1024  # words between two checks of the space left
