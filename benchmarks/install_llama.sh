#!/bin/sh
# llama.cpp compiled for this processor, into a virtual environment: its library (llama-cpp-python) and its server, both
# from one source distribution. About ten minutes of two cores each; what is already there is not built again.
#
#     benchmarks/install_llama.sh .venv-peers
set -eu
version=0.3.36
here=$(cd "$(dirname "$0")" && pwd)
venv=$(cd "$1" && pwd)
mark="$venv/.llama-$version"
[ -e "$mark" ] && exit 0

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$venv/bin/pip" download -q --no-deps --no-build-isolation --no-binary llama-cpp-python -d "$work" "llama-cpp-python==$version"
tar -xzf "$work/llama_cpp_python-$version.tar.gz" -C "$work"
source="$work/llama_cpp_python-$version"
export PATH="$venv/bin:$PATH"
flags="-include $here/peers_tile_config.h"

CXXFLAGS="$flags" CMAKE_ARGS="-DGGML_NATIVE=ON -DLLAVA_BUILD=OFF" \
    "$venv/bin/pip" install -q --no-deps --no-build-isolation --no-cache-dir --force-reinstall "$source"

CXXFLAGS="$flags" cmake -S "$source/vendor/llama.cpp" -B "$work/server" -G Ninja -DCMAKE_BUILD_TYPE=Release \
    -DGGML_NATIVE=ON -DBUILD_SHARED_LIBS=OFF -DLLAMA_BUILD_TOOLS=ON -DLLAMA_BUILD_SERVER=ON -DLLAMA_BUILD_TESTS=OFF \
    -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_APP=OFF -DLLAMA_BUILD_UI=OFF -DLLAMA_USE_PREBUILT_UI=OFF \
    -DLLAMA_OPENSSL=OFF >"$work/server.log"
cmake --build "$work/server" --target llama-server >>"$work/server.log"
install -m 755 "$work/server/bin/llama-server" "$venv/bin/llama-server"
touch "$mark"
