"""What a study is: its arms, what they hold fixed, its seeds, and which runs it needs."""
