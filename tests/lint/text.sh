#!/bin/sh
# What holds for every text in the repository: no notes to oneself, no tabs or trailing blanks, lines that fit, links
# that lead somewhere.
cd "${ROOT:-$(dirname "$0")/../..}" || exit 1
failed=0

verdict() { # name
    found=$(cat)
    if [ -z "$found" ]; then
        echo "ok - $1"
    else
        echo "not ok - $1"
        printf '%s\n' "$found" | head -n 50 | sed 's/^/#   /'
        failed=1
    fi
}

# In a checkout only what git knows or would add; else everything but what was built.
files() {
    if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
        git ls-files --cached --others --exclude-standard | while read -r f; do [ ! -f "$f" ] || echo "$f"; done
    else
        find . -path ./.git -prune -o -path ./build -prune -o -type f -print | sed 's|^\./||'
    fi | LC_ALL=C sort -u
}

texts=$(mktemp)
trap 'rm -f "$texts"' EXIT
files | grep -E '\.(c|h|lua|sh|py|md)$|^(bootstrap|Makefile|.*/run)$' | grep -v '^tests/lint/text\.sh$' >"$texts"

xargs grep -nHE '\<(TODO|FIXME|XXX|HACK)\>' <"$texts" | verdict 'no notes to oneself'

grep -v '^Makefile$' "$texts" | xargs grep -nHP '\t' | verdict 'spaces, not tabs'

xargs grep -nHE '[[:blank:]]+$' <"$texts" | verdict 'no blanks at the end of a line'

# Counted in characters. Tables and code of documents may be wider, and so may annotations, which have one line each.
grep -E '\.(c|h|lua|sh)$|^(bootstrap|tests/run|tools/format)$' "$texts" | grep -v '^stdlib/meta/' | LC_ALL=C.UTF-8 xargs grep -nHE '^.{121}' |
    cut -c 1-100 | verdict 'no line is over 120 columns'

# Links of documents: [text](path), [text](path#heading), [text](#heading).
grep '\.md$' "$texts" | while read -r f; do
    awk -v f="$f" '
    /^```/ { code = !code }
    !code {
        s = $0
        gsub(/`[^`]*`/, "", s)
        while (match(s, /\]\([^)]*\)/)) {
            print NR " " substr(s, RSTART + 2, RLENGTH - 3)
            s = substr(s, RSTART + RLENGTH)
        }
    }' "$f" | while read -r line link; do
        case $link in
        http://* | https://* | mailto:*) continue ;;
        esac
        path=${link%%#*}
        heading=''
        case $link in *'#'*) heading=${link#*#} ;; esac
        target=$f
        [ -z "$path" ] || target=$(dirname "$f")/$path
        if [ ! -e "$target" ]; then
            echo "$f:$line: $link: there is no such file"
        elif [ -n "$heading" ] && [ -f "$target" ]; then
            grep -E '^#+ ' "$target" | sed -E 's/^#+ //; s/[^[:alnum:] _-]//g; s/ /-/g' | tr '[:upper:]' '[:lower:]' |
                grep -qxF -e "$heading" || echo "$f:$line: $link: there is no such heading"
        fi
    done
done | verdict 'links in documents lead somewhere'

echo 1..5
exit $failed
