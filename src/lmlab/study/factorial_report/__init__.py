"""The report of a factorial study: its effects in words, tables and figures."""
