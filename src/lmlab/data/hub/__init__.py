"""Files of public dataset repositories: which there are, which are meant, and their download."""
