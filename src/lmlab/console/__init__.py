"""The command line and the terminal: options, progress bars, log."""
