"""Print the declared minimum version of every dependency as constraints for pip: name==version.

    python tools/minimums.py > constraints.txt && pip install -c constraints.txt ".[test]"

Read from pyproject.toml: what is needed to run, and the extras that it is given, `test` without any.
"""

import re
import sys
from pathlib import Path

import tomllib

REQUIREMENT = re.compile(r"([A-Za-z0-9_.-]+)(?:\[([^\]]*)\])?(?:>=([0-9.]+))?")


def minimums(project, extras):
    """Return the minimum version of each requirement of some extras, by name."""
    found, todo = {}, [*project["dependencies"]]
    for extra in extras:
        todo += project["optional-dependencies"][extra]
    while todo:
        name, of_extras, version = REQUIREMENT.match(todo.pop()).groups()
        if name == project["name"]:
            for extra in of_extras.split(","):
                todo += project["optional-dependencies"][extra]
        elif version is None:
            raise SystemExit(f"pyproject.toml: {name} has no minimum version")
        else:
            found[name] = version
    return found


def main():
    """Print them."""
    text = Path(__file__).parent.parent.joinpath("pyproject.toml").read_text(encoding="utf-8")
    project = tomllib.loads(text)["project"]
    for name, version in sorted(minimums(project, sys.argv[1:] or ["test"]).items()):
        print(f"{name}=={version}")


if __name__ == "__main__":
    main()
