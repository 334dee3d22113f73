#!/bin/sh
# What stenod needs of the machine, checked in words before anything is downloaded. Prints the name of a fitting Python.
# `sh config/requirements.sh FOLDER`: FOLDER is where `.venv` will be. Exit code 1: something is missing.
# uv would say the same as a page about wheels. The numbers are those of the wheels in uv.lock.
set -eu

folder=${1:-.}
macos=14
glibc=2.35
mac_gigabytes=2
linux_gigabytes=9

refuse() {
    printf 'stenod: %s\n' "$@" >&2
    exit 1
}

free_gigabytes() {
    df -Pk "$folder" | awk 'NR == 2 { print int($4 / 1000000) }'
}

need_disk() { # GIGABYTES WHAT
    free=$(free_gigabytes)
    [ "$free" -ge "$1" ] || refuse \
        "setting up needs $1 GB on the disk of $folder, which has $free GB free ($2)." \
        "Make room, or clone stenod onto another disk."
}

is_at_least() { # VERSION WANTED: only their first two numbers count
    awk -v have="$1" -v want="$2" 'BEGIN {
        split(have, h, "."); split(want, w, ".")
        exit !(h[1] + 0 > w[1] + 0 || (h[1] + 0 == w[1] + 0 && h[2] + 0 >= w[2] + 0))
    }'
}

system=$(uname -s)
machine=$(uname -m)

case $system in
Darwin)
    if [ "$machine" != arm64 ]; then
        if [ "$(sysctl -n sysctl.proc_translated 2>/dev/null || echo 0)" = 1 ]; then
            refuse "this shell runs under Rosetta, as an Intel program, and MLX and PyTorch have no Intel builds." \
                "Start it natively: \`arch -arm64 zsh\`, or untick \"Open using Rosetta\" in the terminal's Get Info."
        fi
        refuse "this Mac has an Intel processor; stenod needs Apple silicon (M1 or newer)." \
            "MLX and PyTorch publish no builds for Intel Macs. A Linux machine (x86-64) works too."
    fi
    version=$(sw_vers -productVersion)
    is_at_least "$version" "$macos" || refuse \
        "this Mac runs macOS $version; stenod needs macOS $macos or newer." \
        "MLX has no build for older ones: System Settings > General > Software Update."
    ;;
Linux)
    [ "$machine" = x86_64 ] || refuse \
        "this is Linux on $machine; stenod runs on Linux on x86-64 only." \
        "TorchCodec, which WhisperX needs, has no build for it. Macs with Apple silicon work."
    libc=$(getconf GNU_LIBC_VERSION 2>/dev/null | awk '{ print $2 }')
    [ -n "$libc" ] || refuse \
        "this Linux has no glibc (Alpine and others use musl); PyTorch and MLX have no builds for it." \
        "Use Debian 12, Ubuntu 22.04, Fedora 36 or newer, or a container of one of them."
    is_at_least "$libc" "$glibc" || refuse \
        "this Linux has glibc $libc; stenod needs $glibc or newer, for MLX's build." \
        "Use Debian 12, Ubuntu 22.04, Fedora 36 or newer, or a container of one of them."
    ;;
*)
    refuse "this is $system; stenod runs on macOS and Linux." "On Windows, WSL 2 with Ubuntu is a Linux."
    ;;
esac

python=
foreign=
for name in python3 python3.13 python3.12 python3.11; do
    command -v "$name" >/dev/null 2>&1 || continue
    "$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null || continue
    if [ "$system" = Darwin ] &&
        [ "$("$name" -c 'import platform; print(platform.machine())' 2>/dev/null)" != arm64 ]; then
        foreign=$name
        continue
    fi
    python=$name
    break
done
if [ -z "$python" ] && [ -n "$foreign" ]; then
    refuse "$(command -v "$foreign") is an Intel program, and MLX and PyTorch have no Intel builds." \
        "Install a native Python: /opt/homebrew/bin/brew install python@3.12"
fi
[ -n "$python" ] || refuse \
    "it needs Python 3.11, 3.12 or 3.13 and found none." \
    "  macOS:          brew install python@3.12" \
    "  Debian, Ubuntu: apt install python3 python3-venv"
"$python" -c 'import venv, ensurepip' 2>/dev/null || refuse \
    "it needs the venv module of $python." \
    "  Debian, Ubuntu: apt install python3-venv"

# Last: it is said only to those who will download.
if [ "$system" = Darwin ]; then
    need_disk $mac_gigabytes "1.5 GB of packages"
    echo "stenod: downloading packages; they take 1.5 GB on the disk" >&2
else
    need_disk $linux_gigabytes "8 GB of packages, half of them CUDA's"
    echo "stenod: downloading 4 GB of packages; they take 8 GB on the disk, half of it CUDA, which PyTorch asks for" >&2
fi
echo "$python"
