"""The configuration: composed by Hydra, typed by dataclasses, checked by one gate.

The only importer of hydra and omegaconf below the heads; imports no torch.
"""
