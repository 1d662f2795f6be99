"""Execute a run: resolve its configuration, build its objects, and train to the end."""
