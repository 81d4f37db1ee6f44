"""Write compile_commands.json, from which clangd and other tools know how each C header of src_ext is compiled."""

import json
import sysconfig
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
INCLUDES = [ROOT / "src_ext", sysconfig.get_path("include"), np.get_include()]


def command(header):
    """Return how a header is compiled alone, for the processor of this machine."""
    includes = [f"-I{folder}" for folder in INCLUDES]
    return [
        "cc",
        "-x",
        "c",
        "-std=gnu11",
        "-fopenmp",
        "-march=native",
        *includes,
        "-fsyntax-only",
        str(header),
    ]


def main():
    """Write an entry for each header."""
    entries = [
        {"directory": str(ROOT), "file": str(header), "arguments": command(header)}
        for header in sorted((ROOT / "src_ext").rglob("*.h"))
    ]
    (ROOT / "compile_commands.json").write_text(json.dumps(entries, indent=1) + "\n")
    print(f"compile_commands.json: {len(entries)} headers")


if __name__ == "__main__":
    main()
