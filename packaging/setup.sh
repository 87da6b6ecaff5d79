#!/bin/bash
# Installs from Debian what a make target needs and the machine lacks. Nothing is started.
#
# usage: setup.sh [test|bench|demo]
set -euo pipefail

case ${1:-test} in
test) packages="systemd systemd-sysv dbus polkitd busybox-static iproute2 procps git make gcc libc6-dev mmdebstrap" ;;
bench) packages="systemd systemd-sysv dbus polkitd busybox-static iproute2 procps git make runc crun podman" ;;
demo) packages="systemd systemd-sysv dbus polkitd busybox-static iproute2 procps git make" ;;
*)
	printf 'usage: setup.sh [test|bench|demo]\n' >&2
	exit 2
	;;
esac

# installed lists those of the packages that are.
installed() {
	# shellcheck disable=SC2086 # a list of words
	dpkg-query --show --showformat='${db:Status-Status} ${Package}\n' $packages 2>/dev/null | sed -n 's/^installed //p'
}

missing=$(comm -23 <(tr ' ' '\n' <<<"$packages" | sort) <(installed | sort -u))
if [ -n "$missing" ]; then
	printf 'setup.sh: installing %s\n' "${missing//$'\n'/ }" >&2
	# No service of the machine is started by being installed: invoke-rc.d asks this script (policy-rc.d(8)).
	# One that is there already is the administrator's and stays.
	policy=/usr/sbin/policy-rc.d
	if [ ! -e "$policy" ]; then
		printf '#!/bin/sh\nexit 101\n' >"$policy"
		chmod 0755 "$policy"
		trap 'rm -f "$policy"' EXIT
	fi
	export DEBIAN_FRONTEND=noninteractive
	options="--quiet --quiet --yes --no-install-recommends -o Dpkg::Use-Pty=0"
	# shellcheck disable=SC2086 # lists of words
	apt-get $options install $missing >/dev/null 2>&1 ||
		{ apt-get --quiet --quiet update && apt-get $options install $missing >/dev/null; }
fi

if ! command -v go >/dev/null && [ ! -x /usr/local/go/bin/go ]; then
	cat >&2 <<-END
		setup.sh: Go is missing, and Debian 12's own (1.19) is too old for go.mod. Unpack the Go release that go.mod
		names, or a newer one, to /usr/local/go. Or, where apt knows bookworm-backports: apt-get install
		-t bookworm-backports golang-go, and set GOTOOLCHAIN=auto, with which that one gets the release itself.
	END
	exit 1
fi
