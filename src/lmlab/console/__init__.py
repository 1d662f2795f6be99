"""What a person types and sees: command lines, progress bars, logs."""
