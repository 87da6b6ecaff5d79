#!/bin/bash
# Prints the path of a Debian tree, making it when it is not there yet.
#
# usage: tree.sh SUITE             to boot with "box -root" (trixie: Debian 13, systemd 257)
#        tree.sh SUITE PACKAGE...  a minbase tree with these packages, and nothing to boot it
#
# A tree is kept below $BERTH_CACHE (/var/cache/berth), named by what is in it, so another package list is another
# tree. It appears by rename(2), complete or not at all.
set -euo pipefail

if [ $# -eq 0 ]; then
	printf 'usage: tree.sh SUITE [PACKAGE...]\n' >&2
	exit 2
fi
suite=$1
shift
[ $# -gt 0 ] || set -- systemd systemd-sysv dbus polkitd busybox-static iproute2 procps
packages=$(IFS=,; printf '%s' "$*")
cache=${BERTH_CACHE:-/var/cache/berth}
tree=$cache/$suite-$(printf '%s' "$suite $packages" | sha256sum | cut -c1-12)

if [ ! -d "$tree" ]; then
	mkdir -p "$cache"
	exec 9>"$cache/lock"
	flock 9
fi
if [ ! -d "$tree" ]; then
	temporary=$(mktemp -d "$cache/.$suite-XXXXXX")
	trap 'rm -rf --one-file-system "$temporary"' EXIT
	printf 'tree.sh: making a %s tree with %s, kept in %s\n' "$suite" "$packages" "$tree" >&2
	mmdebstrap --quiet --variant=minbase --include="$packages" \
		--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
		--aptopt='Apt::Install-Recommends "false"' "$suite" "$temporary/tree" >&2
	chmod 0755 "$temporary/tree"
	mv -T "$temporary/tree" "$tree"
fi
printf '%s\n' "$tree"
