"""Files of token ids that other programs write, one format per file."""
