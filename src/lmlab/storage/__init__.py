"""Files, locks and caches that survive a crash. No torch."""
