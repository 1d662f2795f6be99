"""Before a run: what it will take, and whether it can be held. After it: how right that was."""
