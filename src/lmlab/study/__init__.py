"""Figures, statistics and reports from run folders. No torch."""
