#!/usr/bin/env bash
# Build for aarch64 on x86-64 Linux and run there under qemu: the core tests, and an accuracy run whose results are judged
# here, where long double has 64 bits of mantissa. Needs gcc-aarch64-linux-gnu and qemu-user-static, Debian's packages for
# Python 3.11 of arm64 (fetched into build/arm, not installed), and Python 3.11.
set -euo pipefail
cd "$(dirname "$0")/../.."
python=${PYTHON_HERE:-.venv/bin/python}
for program in aarch64-linux-gnu-gcc qemu-aarch64-static apt-get dpkg; do
    command -v "$program" >/dev/null || { echo "make arm: skipped, $program is missing"; exit 0; }
done
"$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { echo "make arm: skipped, needs Python 3.11"; exit 0; }
folder=$PWD/build/arm root=$PWD/build/arm/root site=$PWD/build/arm/site
mkdir -p "$folder"/apt/{lists/partial,cache/archives/partial} "$folder/packages" "$root" "$site"

packages="python3.11 python3.11-minimal libpython3.11-stdlib libpython3.11-minimal libc6 libgcc-s1 libstdc++6 libgomp1
    zlib1g libexpat1 libffi8 libssl3 libsqlite3-0 libbz2-1.0 liblzma5 libuuid1 libncursesw6 libtinfo6 libreadline8
    libcrypt1 libtirpc3 libnsl2 libdb5.3"
if [ ! -e "$root/usr/bin/python3.11" ]; then
    touch "$folder/apt/status"
    apt="apt-get -q -o APT::Architecture=arm64 -o APT::Architectures::=arm64 -o Dir::State=$folder/apt
        -o Dir::State::lists=$folder/apt/lists -o Dir::State::status=$folder/apt/status -o Dir::Cache=$folder/apt/cache
        -o APT::Sandbox::User=root"
    $apt update >"$folder/apt.log" 2>&1 || true
    (cd "$folder/packages" && $apt download $packages >>"$folder/apt.log" 2>&1)
    for package in "$folder"/packages/*.deb; do dpkg -x "$package" "$root"; done
    # Links that start at the root of the file system would leave this one.
    find "$root" -type l -lname '/*' -delete
    rm -rf "$folder/packages"
fi
"$python" -m pip install --quiet --target "$site" --upgrade --only-binary=:all: --platform manylinux_2_28_aarch64 \
    --platform manylinux2014_aarch64 --python-version 3.11 numpy pytest hypothesis ml_dtypes

# What pyproject.toml asks for to build; the environment's own setuptools may be older.
"$python" -m venv "$folder/tools"
"$python" -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' \
    >"$folder/requires.txt"
"$folder/tools/bin/pip" install --quiet -r "$folder/requires.txt"

CC=aarch64-linux-gnu-gcc LDSHARED="aarch64-linux-gnu-gcc -shared" SETUPTOOLS_EXT_SUFFIX=.cpython-311-aarch64-linux-gnu.so \
    FASTSOFTMAX_COMPILED=1 FASTSOFTMAX_OPENMP=1 "$folder/tools/bin/python" setup.py -q build --build-lib "$folder/lib"
rm -rf "$site/fastsoftmax" && cp -r "$folder/lib/fastsoftmax" "$site/"

on_arm() {
    PYTHONPATH=$site PYTHONDONTWRITEBYTECODE=1 OMP_NUM_THREADS=2 \
        qemu-aarch64-static -L "$root" "$root/usr/bin/python3.11" "$@"
}
cd "$folder"
on_arm -c 'import platform, fastsoftmax as fs; print(platform.machine(), fs.backend_info()["isa"])'
on_arm ../../tools/arm/dump.py results.npz
"$OLDPWD/$python" ../../tools/arm/check.py results.npz
printf '[pytest]\npythonpath = %s\nmarkers =\n    peer\n' "$PWD/../../tests" >pytest.ini
on_arm -m pytest -q -c pytest.ini -p no:cacheprovider -p no:doctest ../../tests/test_special_values.py \
    ../../tests/test_layouts.py ../../tests/test_arguments.py ../../tests/test_sixteen_bits.py -k "not numba"
