"""
x
=

x
"""

print(1)
