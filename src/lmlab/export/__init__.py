"""``python -m lmlab.export``: export runs to Hugging Face folders, and convert tokenizers."""
