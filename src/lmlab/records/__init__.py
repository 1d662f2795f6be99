"""Reading text in every form in which people keep it: plain, compressed, and as records."""
