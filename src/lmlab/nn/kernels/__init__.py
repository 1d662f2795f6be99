"""Hand-written kernels for attention, SwiGLU's gate and the loss: C++ on a CPU, Triton on a GPU."""
