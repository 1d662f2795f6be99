"""From a frozen configuration to objects."""
