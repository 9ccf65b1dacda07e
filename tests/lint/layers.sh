#!/bin/sh
# The house's rules that a program can check: who may include whom, who may resume Lua, what is banned, how long a file
# may be. docs/architecture.md says why.
cd "${ROOT:-$(dirname "$0")/../..}" || exit 1
failed=0

# Takes findings on standard input, one a line; none is a pass.
verdict() { # name
    found=$(cat)
    if [ -z "$found" ]; then
        echo "ok - $1"
    else
        echo "not ok - $1"
        printf '%s\n' "$found" | sed 's/^/#   /'
        failed=1
    fi
}

# Takes C on standard input and blanks comments, strings and characters, keeping lines where they are.
code_of() {
    awk '
    {
        line = $0 "\n"; out = ""
        for (i = 1; i <= length(line); i++) {
            c = substr(line, i, 1); two = substr(line, i, 2)
            if (state == "comment") { if (two == "*/") { state = ""; i++ } }
            else if (state == "string" || state == "char") {
                if (c == "\\") i++
                else if (c == (state == "string" ? "\"" : "\047")) state = ""
            }
            else if (two == "/*") { state = "comment"; i++ }
            else if (two == "//") break
            else if (c == "\"") { state = "string"; out = out "\"\"" }
            else if (c == "\047") state = "char"
            else out = out c
        }
        sub(/\n$/, "", out); print out
    }' "$1"
}

# grep in the code (not in comments or strings) of files: "file:line: text"
grep_code() { # pattern file…
    pattern=$1
    shift
    for file in "$@"; do
        code_of "$file" | grep -nE "$pattern" | sed "s|^|$file:|"
    done
}

all() {
    find host -name '*.[ch]' | LC_ALL=C sort
}

layer_of() {
    case $1 in
    base) echo 1 ;;
    loop | shim) echo 2 ;;
    store | io) echo 3 ;;
    engine) echo 4 ;;
    bind) echo 5 ;;
    front) echo 6 ;;
    *) echo 0 ;;
    esac
}

all | while read -r file; do
    from=${file#host/}
    from=${from%%/*}
    [ "$(layer_of "$from")" != 0 ] || echo "$file: there is no layer \"$from\""
    grep -n '^ *# *include *"' "$file" | sed 's/^\([0-9]*\):.*"\(.*\)".*/\1 \2/' | while read -r line target; do
        to=${target%%/*}
        if [ ! -e "host/$target" ]; then
            echo "$file:$line: \"$target\" is no file below host/ (includes are written relative to it)"
        elif [ "$(layer_of "$to")" -gt "$(layer_of "$from")" ]; then
            echo "$file:$line: $from may not know $to (\"$target\")"
        elif [ "$from" != "$to" ] && { [ "$from" = shim ] || [ "$from/$to" != io/shim ] && [ "$to" = shim ]; }; then
            echo "$file:$line: the shim is a program of its own, which only io starts (\"$target\")"
        elif [ "$(layer_of "$to")" -eq 3 ] && [ "$(layer_of "$from")" -eq 3 ] && [ "$to" != "$from" ]; then
            echo "$file:$line: $from and $to do not know each other (\"$target\")"
        fi
    done
done | verdict 'a folder includes itself and lower layers only'

all | while read -r file; do
    lines=$(wc -l <"$file")
    [ "$lines" -le 700 ] || echo "$file: $lines lines, more than 700"
done | verdict 'no file is over 700 lines'

all | grep -v '^host/engine/task\.c$' | while read -r file; do
    grep_code '\<(lua_yieldk?|lua_resume|lua_resetthread|lua_closethread)\>' "$file"
done | verdict 'only engine/task.c yields and resumes Lua'

not_a_member='(^|[^_a-zA-Z0-9.>])'
all | grep -v '^host/front/' | while read -r file; do
    grep_code "$not_a_member(v?sprintf|strcpy|strcat|system|popen|getaddrinfo|sleep|usleep|exit)[[:space:]]*\(" "$file"
done | verdict 'nothing below front/ calls what is banned there'

all | grep -v '^host/front/' | while read -r file; do
    grep_code "$not_a_member(printf|vprintf|puts|putchar|perror)[[:space:]]*\(" "$file"
done | verdict 'nothing below front/ prints'

find host -name '*.c' | LC_ALL=C sort | while read -r file; do
    case $(head -n 1 "$file") in
    '/*'*) ;;
    *) echo "$file: does not begin with the comment that says what it owns" ;;
    esac
done | verdict 'every .c says first what it owns'

find stdlib runbooks -name '*.lua' 2>/dev/null | LC_ALL=C sort | while read -r file; do
    lines=$(wc -l <"$file")
    case $file in
    stdlib/meta/*) continue ;;
    esac
    [ "$lines" -le 250 ] || echo "$file: $lines lines, more than 250"
done | verdict 'no Lua module is over 250 lines'

echo 1..7
exit $failed
