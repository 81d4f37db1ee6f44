"""Read what other builders are told, without building: conda's recipe and cibuildwheel's settings, for each platform.

Needs py-rattler-build and cibuildwheel: `make recipes`.
"""

import subprocess
import sys
from pathlib import Path

import rattler_build

RECIPE = Path("conda/recipe.yaml")
CONDA_PLATFORMS = ["linux-64", "linux-aarch64", "osx-64", "osx-arm64"]
WHEEL_PLATFORMS = [
    ("linux", "x86_64"),
    ("linux", "aarch64"),
    ("macos", "x86_64"),
    ("macos", "arm64"),
    ("windows", "AMD64"),
]
# What conda-forge sets for every recipe.
VARIANTS = "c_compiler: [{compiler}]\nc_stdlib: [{stdlib}]\npython: ['3.12.* *_cpython']\n"


def requirements_of(platform):
    """Return the requirements of the recipe on a platform; raises where the recipe is wrong."""
    is_linux = platform.startswith("linux")
    variants = VARIANTS.format(
        compiler="gcc" if is_linux else "clang",
        stdlib="sysroot" if is_linux else "macosx_deployment_target",
    )
    config = rattler_build.RenderConfig(
        rattler_build.PlatformConfig(target_platform=platform, host_platform=platform)
    )
    recipe = rattler_build.Stage0Recipe.from_file(str(RECIPE))
    (variant,) = recipe.render(rattler_build.VariantConfig.from_yaml(variants), config)
    return variant.recipe.to_dict()["requirements"]


def wheels_for(platform, architecture):
    """Return the names of the wheels that cibuildwheel would build."""
    command = [sys.executable, "-m", "cibuildwheel", "--platform", platform]
    command += ["--archs", architecture, "--print-build-identifiers"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


def main():
    """Print what is needed on each platform, and which wheels there will be."""
    for platform in CONDA_PLATFORMS:
        print(f"{platform}: {', '.join(requirements_of(platform)['build'])}")
    for platform in WHEEL_PLATFORMS:
        names = wheels_for(*platform)
        if not names:
            raise SystemExit(f"no wheel for {' '.join(platform)}")
        print(f"{' '.join(platform)}: {len(names)} wheels, from {names[0]} to {names[-1]}")


if __name__ == "__main__":
    main()
