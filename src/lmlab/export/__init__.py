"""``python -m lmlab.export``: runs as Hugging Face folders, tokenizers in any form."""
