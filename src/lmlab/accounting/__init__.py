"""What a model costs, counted without torch: parameters, FLOPs, memory, disk and time."""
