"""Hand-written kernels for attention and loss: C++ on a CPU, Triton on a GPU."""
