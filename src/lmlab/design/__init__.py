"""What a study declares: its arms, what they hold fixed, its seeds, and the runs it requires."""
