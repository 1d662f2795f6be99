"""The machine under a run: device, precision, compilers, signals, launch environment."""
