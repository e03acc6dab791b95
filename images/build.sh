#!/bin/sh
# The base image of workspaces: Debian with Python, pip and git, as a Docker image where an engine answers
# and as a directory that bubblewrap uses as its root. Made once; what exists is left as it is.
set -eu

NAME=looprail/python:3.11
ROOT=/var/lib/looprail/images
SUITE=bookworm
PACKAGES=python3,python-is-python3,python3-venv,python3-pip,git,ca-certificates
SEARCH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
FORCE=no

usage() {
    echo "usage: images/build.sh [--force] [--name $NAME] [--root $ROOT]"
    echo "  --force  make it anew    --name  the image's name    --root  where its directory goes"
}

fail() {
    echo "images/build.sh: $*" >&2
    exit 1
}

while [ $# -gt 0 ]; do
    case "$1" in
        --force) FORCE=yes ;;
        --name) NAME=${2:?--name needs a value}; shift ;;
        --root) ROOT=${2:?--root needs a value}; shift ;;
        -h | --help) usage; exit 0 ;;
        *) usage >&2; exit 2 ;;
    esac
    shift
done

case "$NAME" in *[!a-z0-9./:_-]* | */../* | ../*) fail "image name '$NAME' may hold a-z 0-9 . / : _ - only." ;; esac
DIRECTORY=$ROOT/$(printf %s "$NAME" | tr '/:' '--')

engine_answers() {
    command -v docker >/dev/null && timeout 5 docker version >/dev/null 2>&1
}

imported() {
    docker image inspect "$NAME" >/dev/null 2>&1
}

# Debian's mirror as this machine's apt is configured; nothing when apt knows none.
mirror() {
    apt-get indextargets --format '$(REPO_URI)' 'Origin: Debian' "Codename: $SUITE" 2>/dev/null | sed -n 1p
}

debian() {
    command -v debootstrap >/dev/null || fail "debootstrap is missing. Run: apt-get install debootstrap"
    echo "Installing Debian $SUITE with $PACKAGES (about a minute) ..."
    # Without a mirror, debootstrap takes its own default.
    # shellcheck disable=SC2046
    debootstrap --variant=minbase --include="$PACKAGES" "$SUITE" "$1" $(mirror) |
        sed -u -n 's/^I: \(Retrieving InRel\|Installing core\|Unpacking the base\|Configuring python3\.\|Configuring python3-pip\.\).*/  &/p'
    [ -x "$1/usr/bin/python3" ] || fail "debootstrap did not finish; see $1/debootstrap/debootstrap.log"
    rm -rf "$1"/var/cache/apt/archives/*.deb "$1"/var/lib/apt/lists/* "$1"/debootstrap
    rm -f "$1"/etc/resolv.conf "$1"/etc/hostname "$1"/var/log/bootstrap.log
}

from_engine() {
    echo "Copying image $NAME out of the engine ..."
    container=$(docker create "$NAME" /bin/true)
    docker export "$container" | tar -C "$1" --numeric-owner -xf - || { docker rm "$container" >/dev/null; exit 1; }
    docker rm "$container" >/dev/null
    rm -rf "$1/.dockerenv" "$1"/dev/*
    : >"$1/etc/resolv.conf"
}

make_directory() {
    mkdir -p "$ROOT"
    chmod 755 "$ROOT"
    fresh=$(mktemp -d "$ROOT/.building-XXXXXX")
    trap 'rm -rf "$fresh"' EXIT
    if [ $FORCE = no ] && engine_answers && imported; then from_engine "$fresh"; else debian "$fresh"; fi
    # bubblewrap cannot make mount points in a read-only root.
    mkdir -p "$fresh/workspace" "$fresh/proc" "$fresh/dev" "$fresh/tmp"
    touch "$fresh/etc/resolv.conf"
    # A user without root copies it to prepare images; nothing in it is secret.
    chmod -R a+rX "$fresh"
    if [ -e "$DIRECTORY" ]; then mv "$DIRECTORY" "$fresh.old"; fi
    mv "$fresh" "$DIRECTORY"
    rm -rf "$fresh.old"
    trap - EXIT
    echo "Installed $DIRECTORY ($(du -sh "$DIRECTORY" | cut -f1))."
}

[ "$(id -u)" = 0 ] || fail "needs root to install packages into a directory of its own. Run: sudo make image"

if [ $FORCE = yes ] || [ ! -d "$DIRECTORY" ]; then
    make_directory
else
    echo "$DIRECTORY exists."
fi

if ! engine_answers; then
    echo "No Docker engine answers: bubblewrap will use the directory."
elif [ $FORCE = yes ] || ! imported; then
    echo "Importing $NAME into the Docker engine ..."
    tar -C "$DIRECTORY" --numeric-owner -cf - . |
        docker import --change "ENV PATH=$SEARCH" --change "ENV LANG=C.UTF-8" - "$NAME" >/dev/null
    echo "Imported $NAME."
else
    echo "Image $NAME exists."
fi
