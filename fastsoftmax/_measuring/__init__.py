"""How speed is measured: the timer, what disturbs it, exact results, and who is compared.

`fastsoftmax bench` and the repository's `python -m bench` share it.
"""
