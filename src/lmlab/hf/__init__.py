"""lmlab's models in Hugging Face's words: configuration files, weights, and a class for the rest."""
