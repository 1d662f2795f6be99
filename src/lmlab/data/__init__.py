"""Corpora, token files and batches. Imports no torch."""
