"""Several runs trained as one model, in one process: only forward and backward are shared."""
