"""Running the jobs of a sweep."""
