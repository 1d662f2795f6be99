"""The statistics of factorial designs: effects and interactions of factors over seeds."""
