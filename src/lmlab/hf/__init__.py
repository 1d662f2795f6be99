"""lmlab's models in Hugging Face's words: configuration, weights, and a class for the rest."""
