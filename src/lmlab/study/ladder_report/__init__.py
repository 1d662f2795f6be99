"""The parts of a report that only a ladder has: gains, losses, forecasts, rungs and rates."""
