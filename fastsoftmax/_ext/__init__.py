"""Compiled modules; built from src_ext/."""
