"""Corpora, token files and batches. No torch."""
