"""Demos of single questions, built on lmlab; no module of lmlab imports this package."""
