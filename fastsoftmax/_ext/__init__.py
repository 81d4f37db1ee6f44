"""Compiled modules, built from src_ext/ and loaded by `fastsoftmax._compiled`; none where nothing was compiled."""
