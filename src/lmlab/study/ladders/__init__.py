"""What ladders and isoFLOP studies measure: laws, gains, verdicts, forecasts, seals, rates."""
