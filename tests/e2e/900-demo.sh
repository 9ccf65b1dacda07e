#!/bin/bash
# time-limit: 120
# What a newcomer sees first: the demonstration, and the runbooks that README and examples/ show.
. "$T/e2e/lib.sh"

cd "$ROOT" || exit 1

run "$ROOT/examples/demo/run"
eq 'the demonstration ends well' "$status" 0
[ "$status" -eq 0 ] || printf '%s\n%s\n' "$out" "$err" | sed 's/^/# /'
contains 'the host was killed' "$out" '(killed: exit status 137)'
contains 'the run went on and succeeded' "$out" '  run       succeeded'
for server in web1 web2 web3; do
    contains "$server has deployed v1.5.0 once" "$out" "  $server     v1.5.0   1"
done
contains 'its journal is whole' "$out" 'ok       '
contains 'the broken release was undone' "$out" '  undo      undone'
contains 'web2 has never deployed v1.6.0' "$out" '  web2     v1.5.0   0'
contains 'the webhook was told once' "$out" 'the webhook was told: v1.5.0 is live on web1, web2, web3'
contains 'the checks are a table' "$out" 'Build     the tag is signed by a release manager  pass'
eq 'nobody was asked what had become of a command' "$(grep -c ' doubt ' <<<"$out")" 0
eq 'it ends the servers' "$(cat "$TMP"/rbhost-demo.*/machines/*/nginx.pid "$TMP"/rbhost-demo.*/sshd.pid 2>/dev/null)" ''

awk '/^```lua/ { on = 1; next } /^```/ { on = 0 } on' README.md >"$TMP/readme.lua"
check 'README shows a runbook that is right' "$RBHOST" check "$TMP/readme.lua"
for example in examples/*.lua; do
    check "$example is right" "$RBHOST" check "$example"
    check "$example can be described" "$RBHOST" describe "$example"
done

while read -r command; do
    check "README speaks of rbhost $command, which exists" "$RBHOST" help "$command"
done < <(sed -n 's/^\$ rbhost \([a-z]*\).*/\1/p' README.md | sort -u)

finish
