#!/usr/bin/env bash
# The command line without a run: help and its page, unknown words, options and their variables, places, exit codes.
# shellcheck disable=SC2154 # out, err and status are set by run
. "$T/e2e/lib.sh"

# -- help ------------------------------------------------------------------------------------------------------------
run "$RBHOST" help
eq 'help: exit code' "$status" 0
eq 'help: nothing on standard error' "$err" ''
first=$(printf '%s\n' "$out" | grep -n -m1 '^  rbhost run' | cut -d: -f1)
list=$(printf '%s\n' "$out" | grep -n -m1 '^Run$' | cut -d: -f1)
check 'an example comes before the list of commands' test "$first" -lt "$list"
"$RBHOST" man --markdown >"$TMP/cli.md"
check 'docs/cli.md is what the program says' cmp "$ROOT/docs/cli.md" "$TMP/cli.md"
"$RBHOST" --help >"$TMP/help"
check '--help is help' cmp "$TMP/help" <("$RBHOST" help)
check 'run --help is help run' cmp <("$RBHOST" run --help) <("$RBHOST" help run)
check 'help wins over what is missing' cmp <("$RBHOST" approve --help) <("$RBHOST" help approve)
for command in $("$RBHOST" help | sed -n 's/^  \([a-z-]*\) .*/\1/p' | sort -u); do
    case $command in rbhost | journal | config) continue ;; esac
    "$RBHOST" help "$command" >"$TMP/one" 2>&1 || flunk "help $command"
    grep -q '^Usage: rbhost' "$TMP/one" || flunk "help $command has no usage" "$(cat "$TMP/one")"
    sed -n 3p "$TMP/one" | grep -q '^  .*rbhost' || flunk "help $command: no example first" "$(cat "$TMP/one")"
done
pass 'every command has help that begins with an example'
run "$RBHOST" help journal
contains 'help of a family names its members' "$out" 'journal backup'
if command -v man >"$TMP/.man"; then
    "$RBHOST" man >"$TMP/rbhost.1"
    warnings=$(LC_ALL=C.UTF-8 MANROFFSEQ='' man --warnings -E UTF-8 -l -Tutf8 -Z "$TMP/rbhost.1" 2>&1 >/dev/null)
    eq 'the manual page has no warnings' "$warnings" ''
fi

# -- words that are not known ----------------------------------------------------------------------------------------
run "$RBHOST" rnu
eq 'unknown command: exit code' "$status" 2
eq 'unknown command: the nearest' "$err" "rbhost: unknown command 'rnu'; did you mean 'run'?"
run "$RBHOST" qqqqqqqq
eq 'unknown command: nothing near' "$err" "rbhost: unknown command 'qqqqqqqq'; \`rbhost help\` lists them"
: >"$TMP/some.lua"
run "$RBHOST" "$TMP/some.lua"
contains 'a file in place of a command' "$err" "to run the file: rbhost run $TMP/some.lua"
run "$RBHOST" journal stat
eq 'unknown member of a family' "$err" "rbhost: unknown command 'journal stat'; there are stats, backup, prune"
run "$RBHOST" ls --stauts=x
eq 'unknown option: exit code' "$status" 2
contains 'unknown option: the nearest' "$err" "unknown option --stauts; did you mean --status?"
contains 'unknown option: the usage' "$err" "usage: rbhost ls"
run "$RBHOST" ls one
contains 'one word too many' "$err" "'one' is one word too many"
run "$RBHOST" approve
contains 'a missing operand' "$err" "usage: rbhost approve RUN [OP]"
run "$RBHOST" ''
eq 'an empty command' "$status" 2
run "$RBHOST" completion bahs
contains 'unknown shell' "$err" "did you mean 'bash'?"
run "$RBHOST" $'evil\033[31m\007'
lacks 'control characters do not reach the terminal' "$err" $'\033'

name() { # of the program, from JSON
    printf %s "$1" | python3 -c 'import json,sys; print(json.load(sys.stdin)["name"])'
}
# -- options and variables -------------------------------------------------------------------------------------------
run "$RBHOST" --json version
eq 'a global option before the command' "$(name "$out")" rbhost
run "$RBHOST" version --json
eq 'and after it' "$(name "$out")" rbhost
run env RBHOST_JSON=1 "$RBHOST" version
eq 'and as a variable' "$(name "$out")" rbhost
run env RBHOST_JSON=1 "$RBHOST" --no-json version
contains '--no- wins over the variable' "$out" 'rbhost 0'
run env RBHOST_JSON=maybe "$RBHOST" version
eq 'a variable that is no value: exit code' "$status" 2
contains 'a variable that is no value' "$err" "RBHOST_JSON: 'maybe' is neither yes nor no"
run "$RBHOST" --version
contains '--version' "$out" 'sqlite 3.'

# -- before anything has run -----------------------------------------------------------------------------------------
for command in '' ls 'ls --json' verify 'journal stats'; do
    # shellcheck disable=SC2086
    run "$RBHOST" $command
    eq "no journal: '$command' succeeds" "$status" 0
done
eq 'looking makes no journal' "$(find "$HOME" "$XDG_STATE_HOME" -name 'journal.db*' 2>/dev/null)" ''
run "$RBHOST" show
eq 'show without runs: exit code' "$status" 2
contains 'show without runs' "$err" 'nothing has run yet'
run "$RBHOST" --journal "$TMP/none.db" ls
eq 'a journal that was named must exist' "$status" 5
: >"$TMP/empty-name"
run "$RBHOST" --journal '' ls
eq 'an empty name' "$status" 2
echo 'this is not a database, whatever its name says' >"$TMP/text.db"
run "$RBHOST" --journal "$TMP/text.db" ls
eq 'not a database: exit code' "$status" 5
contains 'not a database' "$err" 'not a journal'
run "$RBHOST" --journal "$TMP" ls
eq 'a folder as journal' "$status" 5
run env -u HOME -u XDG_STATE_HOME XDG_STATE_HOME=relative "$RBHOST" ls
lacks 'a relative XDG folder does not count' "$(ls)" relative

# -- closed output ---------------------------------------------------------------------------------------------------
if [ -e /dev/full ]; then
    "$RBHOST" help >/dev/full 2>"$TMP/err"
    eq 'full device: exit code' $? 5
    contains 'full device: said' "$(cat "$TMP/err")" 'standard output can not be written'
fi
"$RBHOST" help 2>"$TMP/err" | true
eq 'a closed pipe is quiet' "$(cat "$TMP/err")" ''

# -- completion ------------------------------------------------------------------------------------------------------
"$RBHOST" completion bash >"$TMP/complete.bash"
check 'the bash completion is valid bash' bash -n "$TMP/complete.bash"
complete_bash() { # words…; the last is being completed
    # shellcheck disable=SC2016
    bash -c '. "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); compopt() { :; }; _rbhost
             printf "%s\n" "${COMPREPLY[@]}"' "$TMP/complete.bash" "$@"
}
eq 'completes commands' "$(complete_bash rbhost app)" approve
eq 'completes options' "$(complete_bash rbhost run --dr)" --dry
eq 'completes options with values' "$(complete_bash rbhost ls --stat)" --status=
eq 'completes members' "$(complete_bash rbhost journal b | head -1)" backup
eq 'completes shells' "$(complete_bash rbhost completion z)" zsh
for shell in zsh fish; do
    "$RBHOST" completion $shell >"$TMP/complete.$shell"
    if command -v $shell >"$TMP/.which"; then
        check "the $shell completion is valid" $shell -n "$TMP/complete.$shell"
    fi
    contains "$shell: every command is there" "$(cat "$TMP/complete.$shell")" import-run
done

# -- doctor ----------------------------------------------------------------------------------------------------------
run "$RBHOST" doctor
contains 'doctor looks at the disk' "$out" 'disk space'
run "$RBHOST" doctor --json
check 'doctor: JSON lines' \
    python3 -c 'import json,sys; [json.loads(l)["verdict"] for l in sys.argv[1].splitlines()]' "$out"
finish
