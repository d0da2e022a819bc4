#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds a program with the flags that pkg-config gives, and runs it.
# usage: run.sh COMPILER PREFIX LIBRARY_FOLDER SOURCE PROGRAM VERSION
set -eu
compiler=$1 prefix=$2 library_folder=$3 source=$4 program=$5 version=$6

PKG_CONFIG_PATH=$prefix/$library_folder/pkgconfig
export PKG_CONFIG_PATH
found=$(pkg-config --modversion asynctools)
if [ "$found" != "$version" ]; then
    echo "pkg-config says version $found, the project says $version" >&2
    exit 1
fi
# A shared library needs no flag of its own libraries; a static one names them.
static=
[ -e "$prefix/$library_folder/libasynctools.so" ] || static=--static
"$compiler" $(pkg-config --cflags asynctools) "$source" -o "$program" \
    $(pkg-config --libs $static asynctools)
LD_LIBRARY_PATH=$prefix/$library_folder "$program"
