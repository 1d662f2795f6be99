"""The configuration: composed by Hydra, typed by dataclasses, checked once.

No other package below the commands imports hydra or omegaconf. Imports no torch.
"""
