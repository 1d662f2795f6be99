"""Vocabularies in lmlab's own file format and in those of other libraries.

Each module maps file contents to a :class:`~lmlab.tokenizer.vocabulary.BPEVocabulary` and back.
"""
