"""Hugging Face formats: configuration, weights, and a model class for other architectures."""
