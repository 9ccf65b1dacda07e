# shellcheck shell=bash
# What the shell tests share. A test is a script that begins with:   . "$T/e2e/lib.sh"
# and ends with:   finish
#
# Each check prints one TAP line; a failing one shows both sides. What `start` has started is ended when the script is.

set -u
tests_run=0
tests_failed=0
started_pids=''

pass() { # name
    tests_run=$((tests_run + 1))
    echo "ok $tests_run - $1"
}

flunk() { # name [detail…]
    tests_run=$((tests_run + 1))
    tests_failed=$((tests_failed + 1))
    echo "not ok $tests_run - $1"
    shift
    if [ $# -gt 0 ]; then
        printf '%s\n' "$@" | sed 's/^/#   /'
    fi
}

check() { # name command…
    local name=$1 text status
    shift
    text=$("$@" 2>&1)
    status=$?
    if [ $status -eq 0 ]; then pass "$name"; else flunk "$name" "$*: exit status $status" "$text"; fi
}

eq() { # name got want
    if [ "$2" = "$3" ]; then pass "$1"; else flunk "$1" 'got:' "$2" 'want:' "$3"; fi
}

contains() { # name text part
    case $2 in
    *"$3"*) pass "$1" ;;
    *) flunk "$1" 'in:' "$2" 'there is no:' "$3" ;;
    esac
}

lacks() { # name text part
    case $2 in
    *"$3"*) flunk "$1" 'in:' "$2" 'there is:' "$3" ;;
    *) pass "$1" ;;
    esac
}

# Runs a command and keeps what it did: $out, $err, $status. Its standard input is empty.
run() {
    "$@" >"$TMP/.out" 2>"$TMP/.err" </dev/null
    status=$?
    # shellcheck disable=SC2034 # for the test to look at
    out=$(cat "$TMP/.out") err=$(cat "$TMP/.err")
    return 0
}

# Waits until a command succeeds. The deadline is only there for a condition that never comes.
wait_for() { # what command…
    local what=$1 end=$((SECONDS + 30 * ${SLOW%.*}))
    shift
    until "$@" >"$TMP/.wait" 2>&1; do
        if [ $SECONDS -ge $end ]; then
            flunk "waited in vain for: $what" "$*" "$(cat "$TMP/.wait")"
            return 1
        fi
        sleep 0.02
    done
}

# Starts a command in the background: its process id is in $pid, its output in the named file.
start() { # file command…
    local file=$1
    shift
    "$@" >"$file" 2>&1 </dev/null &
    pid=$!
    started_pids="$started_pids $pid"
}

# Ends a process that `start` started and waits for it. Its status is in $status.
stop() { # pid [signal]
    kill -"${2:-TERM}" "$1" 2>/dev/null
    wait "$1" 2>/dev/null
    status=$?
}

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

finish() {
    echo "1..$tests_run"
    [ $tests_failed -eq 0 ] && exit 0
    exit 1
}

end_started() {
    local p
    for p in $started_pids; do
        kill -KILL "$p" 2>/dev/null && wait "$p" 2>/dev/null
    done
}
trap end_started EXIT
