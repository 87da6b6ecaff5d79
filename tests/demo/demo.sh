#!/bin/sh
# The tour of `make demo`. It runs as root on any host that runs systemd and has Berth installed; `make demo`
# runs it in a box, a throw-away systemd in namespaces. Every command is printed before it is run; the first
# that fails ends the tour with a non-zero status.
set -eu

bold='' plain=''
if [ -t 1 ]; then
	bold=$(printf '\033[1m') plain=$(printf '\033[0m')
fi
export SYSTEMD_PAGER='' SYSTEMD_COLORS=0

dir=$(mktemp -d /run/berth-demo.XXXXXX)
monitor=''

finish() {
	status=$?
	trap - EXIT
	[ -z "$monitor" ] || kill "$monitor" 2>/dev/null || :
	for id in web worker; do
		berthctl delete --force "$id" 2>/dev/null || :
	done
	rm -rf "$dir"
	[ "$status" -eq 0 ] || echo "demo: the step above failed with status $status" >&2
	exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# say TEXT: what the next commands show.
say() { printf '\n# %s\n' "$*"; }

# echo_command WORD...: the command as one could type it.
echo_command() {
	line=''
	for word in "$@"; do
		case $word in
		*[!A-Za-z0-9_./:=%+,@-]*) word="'$word'" ;;
		esac
		line="$line $word"
	done
	printf '%s$%s%s\n' "$bold" "$line" "$plain"
}

# try WORD...: print the command, run it, stop the tour when it fails.
try() {
	echo_command "$@"
	"$@"
}

# fails STATUS WORD...: the same for a command that must end with STATUS.
fails() {
	want=$1
	shift
	echo_command "$@"
	got=0
	"$@" || got=$?
	echo "(exit status $got)"
	[ "$got" -eq "$want" ]
}

# bundle NAME SHELL-COMMAND: an OCI bundle that runs the command in busybox. Bundles share one root file system.
bundle() {
	mkdir -p "$dir/$1"
	sed -e "s|@ROOT@|$dir/rootfs|" -e "s|@COMMAND@|$2|" "$dir/config.template" >"$dir/$1/config.json"
}

mkdir -p "$dir/rootfs/bin" "$dir/rootfs/proc" "$dir/rootfs/dev" "$dir/rootfs/sys" "$dir/rootfs/tmp"
cp "$(command -v busybox)" "$dir/rootfs/bin/busybox"
for applet in sh sleep cat hostname; do
	ln -s busybox "$dir/rootfs/bin/$applet"
done
cat >"$dir/config.template" <<'EOF'
{
  "ociVersion": "1.2.0",
  "hostname": "demo",
  "root": { "path": "@ROOT@", "readonly": true },
  "process": {
    "args": [ "/bin/sh", "-c", "@COMMAND@" ],
    "env": [ "PATH=/bin" ],
    "cwd": "/",
    "user": { "uid": 0, "gid": 0 },
    "noNewPrivileges": true
  },
  "mounts": [
    { "destination": "/proc", "type": "proc", "source": "proc" },
    { "destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": [ "nosuid", "mode=755", "size=64k" ] },
    { "destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": [ "nosuid", "nodev", "size=1m" ] }
  ],
  "linux": {
    "namespaces": [ { "type": "pid" }, { "type": "mount" }, { "type": "ipc" }, { "type": "uts" }, { "type": "network" }, { "type": "cgroup" } ]
  }
}
EOF
bundle web "trap 'echo bye; exit 3' TERM; echo serving from \$(hostname) as PID \$\$; while :; do sleep 1; done"
bundle worker "trap 'exit 0' TERM; n=0; while :; do n=\$((n+1)); echo tick \$n; sleep 1; done"
bundle hello "cat; echo and hello from PID \$\$ in a container; exit 7"

busctl monitor --json=short org.berth1 >"$dir/signals" 2>"$dir/monitor" &
monitor=$!
tries=0
until grep -q Monitoring "$dir/monitor"; do # the first signal must not be missed
	tries=$((tries + 1))
	[ "$tries" -le 50 ]
	sleep 0.1
done

say 'Berth is a D-Bus service. Any client will do: this is busctl.'
try busctl introspect org.berth1 /org/berth1 org.berth1.Manager
try busctl call org.berth1 /org/berth1 org.berth1.Manager Create 'ssa{sv}' web "$dir/web" 1 \
	ScopeProperties 'a(sv)' 2 MemoryMax t 67108864 TasksMax t 20
try busctl call org.berth1 /org/berth1/container/web org.berth1.Container Start

say 'The container is a systemd unit, a transient scope, with the limits we asked for.'
try systemctl status --lines=0 berth-web.scope
try systemctl show --property=Slice,MemoryMax,TasksMax,ControlGroup berth-web.scope

say 'berthctl is a D-Bus client too, with tables and completion.'
try berthctl create worker --bundle "$dir/worker" --property CPUWeight=50
try berthctl start worker
try berthctl list
try berthctl ps worker
try berthctl stats

say 'Your own terminal or pipe goes into the container, and its exit status comes back.'
printf '%s$ echo hello | berthctl run hello --bundle %s%s\n' "$bold" "$dir/hello" "$plain"
got=0
echo hello | berthctl run hello --bundle "$dir/hello" || got=$?
echo "(exit status $got)"
[ "$got" -eq 7 ]

say 'Freeze it, thaw it.'
try berthctl pause worker
try busctl get-property org.berth1 /org/berth1/container/worker org.berth1.Container Status
try berthctl resume worker

say 'The service may die at any moment. The containers do not notice.'
try systemctl kill --kill-who=main --signal=KILL berthd.service
try berthctl list

say 'Stop both: web leaves with status 3, and its last words are in the journal, under its own unit.'
try berthctl stop web worker
try berthctl wait web
try berthctl show web --property ExitCode --property ExitReason
journalctl --sync
try journalctl --no-pager --output=cat --unit=berth-web.scope
try berthctl logs --lines=6 worker

say 'What does a bundle do to your host? Ask before it happens: every system call of its creation, one a line.'
printf '%s$ berthctl plan %s | tail -n 6%s\n' "$bold" "$dir/web" "$plain"
berthctl plan "$dir/web" >"$dir/plan"
tail -n 6 "$dir/plan"

say 'A mistake gets one sentence and a status.'
fails 1 berthctl start nosuch

say 'Delete them. Nothing is left.'
try berthctl delete web worker
try berthctl list
try systemctl list-units --no-legend 'berth-*.scope'

say 'Meanwhile, busctl monitor org.berth1 saw these signals:'
kill "$monitor" && wait "$monitor" || :
monitor=''
sed -n '/"type":"signal"/s/.*"interface":"org.berth1.Manager","member":"\([A-Za-z]*\)".*"data":\(\[.*\]\)}.*/\1 \2/p' "$dir/signals"
grep -q ContainerDeleted "$dir/signals"

printf '\n%sThat was Berth.%s README.md says where to read on.\n' "$bold" "$plain"
