"""The project's measuring: `python -m bench --help`, and the suite `pytest bench`."""
