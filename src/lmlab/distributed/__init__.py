"""Several processes of one run, called ranks, that share its batches."""
