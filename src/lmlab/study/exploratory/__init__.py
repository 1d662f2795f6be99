"""The comparison of runs that no study planned; its verdicts are exploratory."""
