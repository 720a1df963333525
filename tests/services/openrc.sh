#!/usr/bin/env bash
# Starts, reloads, kills, restarts and stops p2pd under the real OpenRC, with the shipped init script, configuration and
# user, in mount, pid and network namespaces of its own: nothing of it touches the machine.
#
# usage: openrc.sh [P2PD]      P2PD: the daemon's program, target/debug/p2pd unless told
set -euo pipefail

top=$(realpath "$(dirname "$0")/../..")
p2pd=$(realpath "${1:-$top/target/debug/p2pd}")

if [ "${P2P_OPENRC_INSIDE:-}" != yes ]; then
	[ "$(id -u)" = 0 ] || { echo "openrc.sh: namespaces need root" >&2; exit 1; }
	P2P_OPENRC_INSIDE=yes exec timeout --kill-after=5 180 \
		unshare --mount --pid --fork --kill-child --mount-proc --net "$0" "$p2pd"
fi

fail() {
	echo "openrc.sh: $*" >&2
	[ ! -s /var/log/p2pd.log ] || { echo "--- /var/log/p2pd.log" >&2; tail -n 40 /var/log/p2pd.log >&2; }
	exit 1
}

# wait_until WHAT COMMAND…: until the command succeeds, 40 seconds at most
wait_until() {
	local what=$1 tries=400
	shift
	until "$@"; do
		[ $((tries -= 1)) -gt 0 ] || fail "waited in vain: $what"
		sleep 0.1
	done
}

build_the_machine() {
	mount --make-rprivate /
	mkdir /tmp/p2pt-openrc-etc.$$ && local etc=/tmp/p2pt-openrc-etc.$$
	mount -t tmpfs -o mode=0755 etc "$etc"
	cp -a /etc/. "$etc"
	mount --move "$etc" /etc
	rmdir "$etc"
	local directory
	for directory in /run /var/log /var/lib /var/cache /sys; do
		mount -t tmpfs -o mode=0755 p2pt "$directory"
	done
	ip link set lo up
	mkdir -p /run/lock /var/lib/pacman/sync /var/cache/pacman/pkg
	# Booted, as far as OpenRC can tell, and with no other service.
	mkdir -p /run/openrc/{daemons,exclusive,failed,hotplugged,inactive,options,scheduled,started,starting,stopping,tmp,wasinactive}
	touch /run/openrc/softlevel
	echo 'rc_cgroup_mode="none"' >>/etc/rc.conf
	rm -rf /etc/init.d /etc/conf.d /etc/runlevels
	mkdir -p /etc/init.d /etc/conf.d /etc/runlevels/default
}

install_p2pd() {
	install -m 755 "$top/openrc/p2pd.initd" /etc/init.d/p2pd
	install -m 644 "$top/openrc/p2pd.confd" /etc/conf.d/p2pd
	install -D -m 644 "$top/config/p2pd.toml" /etc/p2pd/p2pd.toml
	# The user p2pd must be able to reach the program, wherever it was built.
	install -D -m 755 "$p2pd" /run/p2pt/p2pd
	echo 'p2pd_binary="/run/p2pt/p2pd"' >>/etc/conf.d/p2pd
	# Looked at often, and killed soon: the test does not wait for half a minute.
	printf '%s\n' 'healthcheck_timer=2' 'retry="SIGTERM/2/SIGKILL/5"' >>/etc/conf.d/p2pd
	# A container may forbid more; then what it allows must arrive.
	[ "$(ulimit -H -n)" -ge "$open_files" ] || open_files=$(ulimit -H -n)
	[ "$open_files" = 65536 ] || echo "rc_ulimit='-n $open_files'" >>/etc/conf.d/p2pd
	printf '%s\n' '[options]' 'Architecture = x86_64' '[core]' 'Server = http://127.0.0.1:9' >/etc/pacman.conf
	systemd-sysusers "$top/systemd/p2pd.sysusers"
}

daemon_pid() { pgrep --exact --uid p2pd p2pd; }
is_running() { daemon_pid >/dev/null; }
is_gone() { ! is_running; }
is_another_than() { local now; now=$(daemon_pid) && [ "$now" != "$1" ]; }
answers() { [ -S /run/p2pd/p2pd.sock ] && curl --silent --max-time 2 --unix-socket /run/p2pd/p2pd.sock \
	--header 'p2pd-api: 1' http://p2pd/v1/status | grep --quiet uptime_seconds; }
log_grew_beyond() { [ "$(stat -c %s /var/log/p2pd.log)" -gt "$1" ]; }

starts_as_its_user() {
	rc-service p2pd start || fail "start failed"
	wait_until "the daemon runs" is_running
	wait_until "the daemon answers" answers
	rc-service p2pd status || fail "not started, says status"
	local pid
	pid=$(daemon_pid)
	grep --quiet '^NoNewPrivs:[[:space:]]*1$' "/proc/$pid/status" || fail "the daemon may gain privileges"
	grep --quiet '^CapEff:[[:space:]]*0*$' "/proc/$pid/status" || fail "the daemon has capabilities"
	grep --quiet "^Max open files *$open_files " "/proc/$pid/limits" || fail "the limit of open files is not set"
	[ "$(stat -c '%a %U:%G' /var/lib/p2pd)" = "755 p2pd:p2pd" ] || fail "/var/lib/p2pd has another mode or owner"
	[ "$(stat -c '%a %U:%G' /run/p2pd)" = "755 p2pd:p2pd" ] || fail "/run/p2pd has another mode or owner"
	[ "$(stat -c '%a' /run/p2pd/p2pd.sock)" = 666 ] || fail "not everyone may connect to the socket"
}

reloads() {
	local pid size
	pid=$(daemon_pid)
	size=$(stat -c %s /var/log/p2pd.log)
	rc-service p2pd reload || fail "reload failed"
	wait_until "the daemon logs that it reloads" log_grew_beyond "$size"
	[ "$(daemon_pid)" = "$pid" ] || fail "reload started another daemon"
	wait_until "the daemon answers after a reload" answers
}

a_mistake_ends_nothing() {
	local pid
	pid=$(daemon_pid)
	echo 'no_such_key = true' >>/etc/p2pd/p2pd.toml
	! rc-service p2pd reload || fail "reloaded a wrong configuration"
	! rc-service p2pd restart || fail "restarted with a wrong configuration"
	[ "$(daemon_pid)" = "$pid" ] || fail "a wrong configuration ended the daemon"
	install -m 644 "$top/config/p2pd.toml" /etc/p2pd/p2pd.toml
}

comes_back_when_killed() {
	local pid
	pid=$(daemon_pid)
	kill -KILL "$pid"
	wait_until "the daemon comes back" is_another_than "$pid"
	wait_until "the daemon answers again" answers
}

comes_back_when_hung() {
	local pid
	pid=$(daemon_pid)
	kill -STOP "$pid"
	wait_until "the supervisor ends a hung daemon" is_another_than "$pid"
	wait_until "the daemon answers after it hung" answers
}

restarts() {
	local pid
	pid=$(daemon_pid)
	rc-service p2pd restart || fail "restart failed"
	wait_until "another daemon runs" is_another_than "$pid"
	wait_until "the daemon answers after a restart" answers
}

stops() {
	rc-service p2pd stop || fail "stop failed"
	wait_until "the daemon is gone" is_gone
	local state=0
	rc-service p2pd status || state=$?
	[ "$state" = 3 ] || fail "status of a stopped service is $state, not 3"
	! rc-service p2pd reload || fail "reloaded a stopped service"
}

refuses_a_wrong_configuration() {
	echo 'no_such_key = true' >>/etc/p2pd/p2pd.toml
	! rc-service p2pd start || fail "started with a wrong configuration"
	is_gone || fail "runs with a wrong configuration"
}

exec 2>&1
open_files=65536
build_the_machine
install_p2pd
for fact in starts_as_its_user reloads a_mistake_ends_nothing comes_back_when_killed comes_back_when_hung restarts stops \
	refuses_a_wrong_configuration; do
	echo "openrc.sh: $fact"
	"$fact"
done
echo "openrc.sh: ok"
