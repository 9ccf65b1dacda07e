#!/usr/bin/env bash
# Runs from the outside, off a terminal: lines and JSON, exit codes, signals, closed output, decisions from another
# process, the background, keys, heads, moving a run.
# shellcheck disable=SC2154 # out, err and status are set by run
. "$T/e2e/lib.sh"
cd "$TMP" || exit 1

json() { # expression over the list d of the lines of standard input
    python3 -c 'import json,sys; d = [json.loads(l) for l in sys.stdin]; print(eval(sys.argv[1]))' "$1"
}
id_of() { # the newest run
    "$RBHOST" ls -q --limit 1
}
status_is() { # run status
    [ "$("$RBHOST" show "$1" --json | json 'd[0]["status"]')" = "$2" ]
}

cat >hello.lua <<'END'
print("hello")
exec{ "echo", "hi" }
END
cat >gate.lua <<'END'
local p = runbook{ title = "A gate", params = { n = { "integer", default = 1, min = 1, max = 5 }, key = { "secret" } } }
step("Build", function() exec{ "true" } end)
approve{ "Go on with " .. p.n .. "?" }
manual("read the gauge", { type = "choice", choices = { "low", "high" } })
END
cat >wait.lua <<'END'
exec({ "sh", "-c", "echo started >started; exec sleep 100" }, { survive = false })
END
cat >fail.lua <<'END'
undo("put it back", function() exec{ "touch", "back" } end)
step("Break", function() exec{ "sh", "-c", "test -e repaired" } end)
END

# -- output ----------------------------------------------------------------------------------------------------------
run "$RBHOST" run hello.lua
eq 'success is exit code 0' "$status" 0
contains 'one line for each event' "$out" 'print     hello'
lacks 'no colour off a terminal' "$out$err" $'\033'
run "$RBHOST" run hello.lua --quiet
eq 'quiet says nothing' "$out$err" ''
run "$RBHOST" run hello.lua --json
eq '--json: the first line' "$(printf '%s\n' "$out" | json 'd[0]["type"]')" version
printf '%s\n' "$out" >run.json
eq '--json: the last line' "$(json 'd[-1]["type"], d[-1]["status"], d[-1]["exit"]' <run.json)" "('end', 'succeeded', 0)"
json '[e for e in d if e["type"] == "event"]' <run.json >events
seqs='[e["seq"] for e in d if e["type"] == "event"]'
eq '--json: the events, none left out' "$(json "$seqs == list(range(1, len($seqs) + 1))" <run.json)" True
eq '--json: live output' "$(printf '%s\n' "$out" | json '[e["data"] for e in d if e["type"] == "output"]')" "['hi\\n']"
"$RBHOST" log --json >log.json
eq 'log --json: the same events' "$(json '[e for e in d if e["type"] == "event"]' <log.json)" "$(cat events)"

# -- parameters ------------------------------------------------------------------------------------------------------
run "$RBHOST" run gate.lua n=9 m=1
eq 'bad parameters: exit code' "$status" 2
contains 'all at once: one' "$err" 'n: got'
contains 'all at once: the other' "$err" 'm: unknown parameter'
run "$RBHOST" run gate.lua key=visible
contains 'a secret is no argument' "$err" 'key is a secret'
printf '{"n": 2,\n "m" 1}' >bad.json
run "$RBHOST" run gate.lua --params bad.json
contains 'invalid JSON: line and column' "$err" 'bad.json:2:'
contains 'invalid JSON: a caret' "$err" '^'
printf '[1]' >list.json
run "$RBHOST" run gate.lua --params list.json
contains 'parameters are an object' "$err" 'must be one JSON object'
run "$RBHOST" run gate.lua n=1 n=2
contains 'given twice' "$err" 'n is given twice'
run "$RBHOST" run gate.lua n=@nofile
contains 'a file that is not there' "$err" 'nofile: No such file'
eq 'nothing was started' "$("$RBHOST" ls -q | wc -l)" 3
printf '{"n": 4}' >good.json
run "$RBHOST" run gate.lua --params good.json
contains 'parameters from a file' "$err" 'Go on with 4?'
printf '5\n' >five
run "$RBHOST" run gate.lua --params good.json n=@five
contains 'an argument replaces the file, its last line end does not count' "$err" 'Go on with 5?'

# -- decisions from another process ----------------------------------------------------------------------------------
id=$(id_of)
eq 'waiting is exit code 3' "$status" 3
contains 'with the command that goes on' "$err" "rbhost approve $id"
run "$RBHOST"
contains 'bare rbhost names it' "$out" "rbhost approve $id"
run "$RBHOST" answer "$id" "done"
contains 'a decision that nothing waits for' "$err" 'waits for no manual step'
eq 'is a usage error' "$status" 2
run "$RBHOST" approve "$id" 99
eq 'an operation that is not open' "$status" 2
run "$RBHOST" approve "$id" -m fine
contains 'recorded, and who goes on' "$err" "rbhost resume $id"
run "$RBHOST"
contains 'decided is not asked again' "$out" 'decided'
run "$RBHOST" resume "$id"
contains 'the next gate' "$err" 'read the gauge'
run "$RBHOST" answer "$id" --value medium
contains 'a value of another type' "$err" "'medium' is none of low, high"
run "$RBHOST" answer "$id" "done"
contains 'a value is missing' "$err" 'asks for a value'
run "$RBHOST" --journal "$XDG_STATE_HOME/rbhost/journal.db" answer "$id" --value low --resume
eq 'answer and go on' "$status" 0
run "$RBHOST" resume "$id"
eq 'resume of a finished run' "$status" 2
run "$RBHOST" approve "$id"
contains 'a decision after the end' "$err" 'is over'
run "$RBHOST" run gate.lua
run "$RBHOST" deny latest -m 'not today' --resume
eq 'denied is exit code 4' "$status" 4

start own.out "$RBHOST" run gate.lua --wait
owner=$pid
wait_for 'the gate' grep -q waiting own.out
id=$(id_of)
run "$RBHOST" resume "$id"
eq 'resume while another process runs it' "$status" 2
contains 'names the owner' "$err" "pid $owner"
start watch.out "$RBHOST" attach "$id"
watcher=$pid
wait_for 'the watcher sees the gate' grep -q waiting watch.out
run "$RBHOST" approve "$id"
contains 'the living owner takes it' "$err" "pid $owner"
wait_for 'the owner has journaled it' grep -q 'read the gauge' own.out
run "$RBHOST" answer "$id" --value high
wait "$owner"
eq 'the owner goes on to the end' "$?" 0
wait "$watcher"
eq 'the watcher ends with its exit code' "$?" 0
contains 'the watcher saw all of it' "$(cat watch.out)" 'succeeded'

# -- signals and closed output ---------------------------------------------------------------------------------------
for signal in INT:130 TERM:143 HUP:129; do
    rm -f started
    start park.out "$RBHOST" run wait.lua
    wait_for 'the command' test -s started
    kill -"${signal%:*}" "$pid"
    wait_for 'it says that it parks' grep -q 'parking the run' park.out
    stop "$pid" "${signal%:*}"
    eq "SIG${signal%:*} twice: exit code" "$status" "${signal#*:}"
    id=$(id_of)
    contains 'it says what was running' "$(cat park.out)" 'was running: #2'
    contains 'and what goes on' "$(cat park.out)" "rbhost resume $id"
    check 'parked' status_is "$id" parked
done
run "$RBHOST" resume "$id"
eq 'an effect whose end nobody saw: in doubt, exit code 6' "$status" 6
contains 'with the commands that settle it' "$err" "rbhost resolve $id 2 done --resume"
run "$RBHOST" resolve "$id" maybe
contains 'no such answer' "$err" 'it is done, retry or fail'
run "$RBHOST" resolve "$id" 2 "done" --resume
eq 'settled: it goes on' "$status" 0
rm -f started
mkfifo pipe
"$RBHOST" run wait.lua >pipe 2>closed.err &
pid=$!
started_pids="$started_pids $pid"
exec 5<pipe
wait_for 'the command' test -s started
exec 5<&-
wait_for 'a closed reader is noticed while nothing is written' grep -q 'standard output was closed' closed.err
stop "$pid" TERM
eq 'closed output: exit code' "$status" 141
check 'parked' status_is "$(id_of)" parked
run "$RBHOST" cancel "$(id_of)" --reason 'no longer wanted'
eq 'cancel is exit code 1' "$status" 1
check 'cancelled' status_is "$(id_of)" cancelled

# -- failures --------------------------------------------------------------------------------------------------------
run "$RBHOST" run fail.lua
eq 'a failure is exit code 1' "$status" 1
contains 'with file and line' "$err" 'fail.lua:2'
contains 'and what goes on' "$err" 'rbhost retry'
id=$(id_of)
contains 'bare rbhost names it' "$("$RBHOST")" "rbhost retry $id"
run "$RBHOST" retry "$id" --skip 4
contains 'a skip needs a reason' "$err" 'needs --reason'
touch repaired
run "$RBHOST" retry "$id"
eq 'retry' "$status" 0
rm repaired
run "$RBHOST" run fail.lua
run "$RBHOST" undo latest
eq 'undo' "$status" 0
check 'the compensation ran' test -e back

# -- key, background -------------------------------------------------------------------------------------------------
run "$RBHOST" run hello.lua --key nightly --json
first=$(printf '%s\n' "$out" | json 'd[-1]["run"]')
run "$RBHOST" run hello.lua --key nightly --json
eq 'the same key is the same run' "$(printf '%s\n' "$out" | json 'd[-1]["run"], d[-1]["exit"]')" "('$first', 0)"
run "$RBHOST" run gate.lua --detach --wait
eq 'into the background' "$status" 0
id=$out
check 'it has an owner' eval '"$RBHOST" show "$id" --json | grep -q "\"owned\":true"'
wait_for 'the gate' status_is "$id" waiting
run "$RBHOST" approve "$id"
run "$RBHOST" pause "$id"
wait_for 'pause parks it' status_is "$id" parked
contains 'its output is in the log' "$(cat "$XDG_STATE_HOME/rbhost/log/$id.log")" 'started'
run "$RBHOST" run nofile.lua --detach
eq 'what can not start says so at once' "$status" 2

# -- heads, damage, moving -------------------------------------------------------------------------------------------
"$RBHOST" head --all >heads.txt
run "$RBHOST" verify --head heads.txt
eq 'verify' "$status" 0
eq 'a line for each run' "$(printf '%s\n' "$out" | grep -c '^ok ')" "$(wc -l <heads.txt)"
echo 'nonsense' >bad-heads.txt
run "$RBHOST" verify --head bad-heads.txt
contains 'a bad file of heads' "$err" 'bad-heads.txt:1: a line must be: RUN SEQ HASH'
run "$RBHOST" export "$id" -o run.rbrun
eq 'export' "$status" 0
run "$RBHOST" resume "$id"
eq 'an exported run does not go on here' "$status" 2
contains 'but can be taken back' "$err" '--take-back'
run "$RBHOST" --journal "$TMP/there.db" import-run run.rbrun
eq 'import' "$status:$out" "0:$id"
run "$RBHOST" --journal "$TMP/there.db" answer "$id" --value low --resume
eq 'it goes on there' "$status" 0
run "$RBHOST" --journal "$TMP/there.db" verify
eq 'and its journal is sound' "$status" 0
run "$RBHOST" --journal "$TMP/there.db" import-run run.rbrun
eq 'a copy that is behind does not come in' "$status" 2
run "$RBHOST" journal backup copy.db
eq 'backup' "$status" 0
eq 'a whole copy' "$("$RBHOST" --journal copy.db ls -q --all)" "$("$RBHOST" ls -q --all)"
victim=$(sed -n '$s/ .*//p' heads.txt)
python3 - copy.db "$victim" <<'END'
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.execute("UPDATE events SET data = replace(data, 'hello', 'hallo') WHERE run = ?", (sys.argv[2],))
db.commit()
END
run "$RBHOST" --journal copy.db verify
eq 'damage is exit code 5' "$status" 5
contains 'and names run and event' "$out" "DAMAGED  $victim  event"
run "$RBHOST" journal prune --older 1s --dry --json
check 'prune counts' json 'd[0]["dry"]' <<<"$out"

# -- places ----------------------------------------------------------------------------------------------------------
mkdir -p books/web/lib books/tests "$XDG_CONFIG_HOME/rbhost"
cp hello.lua books/web/deploy.lua
echo 'return {}' | tee books/web/lib/module.lua >books/tests/deploy.lua
config=$XDG_CONFIG_HOME/rbhost/config.lua
echo "return { roots = { '$TMP/books' }, limits = { max_exec = 2, park_grace = '1s' } }" >"$config"
run "$RBHOST" list
contains 'list' "$out" web/deploy
lacks 'list: modules are no runbooks' "$out" 'lib/module'
lacks 'list: nor are tests' "$out" 'tests/deploy'
run "$RBHOST" run web/deploy -q
eq 'run by name' "$status" 0
run "$RBHOST" run web/depoly
contains 'a name that is not there: the nearest' "$err" "did you mean 'web/deploy'?"
run "$RBHOST" run ../books/web/deploy
contains 'a path is a file, never a name' "$err" 'no such file'
echo "return { rots = { 'x' } }" >config.lua
run "$RBHOST" --config config.lua list
eq 'an unknown key: exit code' "$status" 2
contains 'an unknown key: the nearest' "$err" 'config.lua:1: rots: unknown key; did you mean roots?'
echo "return { limits = { max_exec = 'many' } }" >config.lua
run "$RBHOST" --config config.lua list
contains 'a bad limit' "$err" 'limits.max_exec: got "many", expected a whole number'
echo "return {" >config.lua
run "$RBHOST" --config config.lua list
contains 'a syntax error has its line' "$err" 'config.lua:'
run "$RBHOST" --config nowhere.lua list
eq 'a configuration that was named must exist' "$status" 2
finish
