"""What setup.py asks while it builds: the compiler, the processor that it compiles for, and OpenMP."""
