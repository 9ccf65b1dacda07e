#!/bin/sh
# What other programs check: clang-format for C, luacheck for Lua, shellcheck for shell, and that Python compiles.
cd "${ROOT:-$(dirname "$0")/../..}" || exit 1
failed=0

verdict() { # name status output
    if [ "$2" -eq 0 ]; then
        echo "ok - $1"
    else
        echo "not ok - $1"
        printf '%s\n' "$3" | head -n 60 | sed 's/^/#   /'
        failed=1
    fi
}

out=$(find host tools tests -name '*.[ch]' | LC_ALL=C sort | while read -r f; do
    clang-format --dry-run -Werror "$f" 2>/dev/null || echo "$f: not as clang-format writes it (make format)"
done)
[ -z "$out" ]
verdict 'C is formatted' $? "$out"

lua=$(find stdlib examples runbooks tests/lua -name '*.lua' 2>/dev/null)
if [ -n "$lua" ]; then
    # shellcheck disable=SC2086
    out=$(luacheck --no-color --codes -q $lua 2>&1)
    verdict 'luacheck finds nothing' $? "$out"
else
    echo 'ok - luacheck finds nothing (there is no Lua)'
fi

scripts=$(find . -path ./.git -prune -o -path ./build -prune -o -type f -perm -u+x -print | while read -r f; do
    head -n 1 "$f" | grep -aqE '^#!.*[ /](ba)?sh\>' && echo "$f"
done)
# shellcheck disable=SC2086
out=$(shellcheck -e SC1090,SC1091,SC2016,SC2154 $scripts tests/e2e/*.sh 2>&1)
verdict 'shellcheck finds nothing' $? "$out"

# Texts for other machines' shells are parts of one script, so what is set or called in another part is not seen.
out=$(shellcheck -s sh -e SC2034,SC2154,SC2317 host/io/ssh_far/*.sh 2>&1)
verdict 'shellcheck finds nothing in what is said to other machines' $? "$out"

out=$(find tests tools -type f \( -name '*.py' -o -path tests/run \) | while read -r f; do
    python3 - "$f" 2>&1 <<'END' || echo "$f: does not compile"
import ast, pathlib, sys
ast.parse(pathlib.Path(sys.argv[1]).read_text(), sys.argv[1])
END
done)
[ -z "$out" ]
verdict 'Python compiles' $? "$out"

echo 1..5
exit $failed
