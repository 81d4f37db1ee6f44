"""Print the declared minimum version of every dependency as constraints for pip: name==version.

    python tools/minimums.py test dask onnx > constraints.txt

Read from pyproject.toml: what is needed to build and to run, and the extras that it is given, `test` without any. pip
takes constraints of an isolated build from the environment: PIP_CONSTRAINT, from pip 25.3 on PIP_BUILD_CONSTRAINT.
"""

import re
import sys
from pathlib import Path

import tomllib

REQUIREMENT = re.compile(r"([A-Za-z0-9_.-]+)(?:\[([^\]]*)\])?(?:>=([0-9.]+))?")


def minimums(pyproject, extras):
    """Return the minimum version of each requirement of the build and of some extras, by name."""
    project, found = pyproject["project"], {}
    todo = [*pyproject["build-system"]["requires"], *project["dependencies"]]
    for extra in extras:
        todo += project["optional-dependencies"][extra]
    while todo:
        name, of_extras, version = REQUIREMENT.match(todo.pop()).groups()
        if name == project["name"]:
            for extra in of_extras.split(","):
                todo += project["optional-dependencies"][extra]
        elif version is None:
            raise SystemExit(f"pyproject.toml: {name} has no minimum version")
        elif found.setdefault(name, version) != version:
            raise SystemExit(
                f"pyproject.toml: {name} has two minimum versions, {found[name]} and {version}"
            )
    return found


def main():
    """Print them."""
    text = Path(__file__).parent.parent.joinpath("pyproject.toml").read_text(encoding="utf-8")
    for name, version in sorted(minimums(tomllib.loads(text), sys.argv[1:] or ["test"]).items()):
        print(f"{name}=={version}")


if __name__ == "__main__":
    main()
