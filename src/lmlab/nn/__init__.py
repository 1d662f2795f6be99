"""Components of the model: plain modules with explicit arguments, independent of the configuration.

A suffix of a tensor name lists its axes:

====== ==========================================
letter axis
====== ==========================================
B      batch
T      query time
S      key time
D      model width, ``d_model``
H      query heads
G      key/value heads
K      width of one head, ``d_head``
F      hidden width of the feed-forward, ``d_ff``
V      vocabulary
N      tokens of all sequences, ``B * T``
J      queries, keys and values concatenated, ``(H + 2 * G) * K``
====== ==========================================
"""
