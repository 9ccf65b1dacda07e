# What a file that goes there and one that comes from there have in common (before upload.sh and download.sh, each a
# text for a shell of its own). Says what became of it, by lines of the error output.
set -f
rb_end() {
    printf '\nrbhost-no %s\n' "$*" >&2
    exit 1
}
rb_note() {
    printf '\nrbhost-%s\n' "$*" >&2
}

# Of standard input: rb_is.
rb_digest() {
    if command -v sha256sum; then
        rb_is=$(sha256sum)
    elif command -v sha256; then
        rb_is=$(sha256 -q)
    elif command -v shasum; then
        rb_is=$(shasum -a 256)
    elif command -v openssl; then
        rb_is=$(openssl dgst -sha256 -r)
    else
        rb_is=none
    fi >/dev/null 2>&1
    rb_is=${rb_is%% *}
    [ "$rb_is" != none ] || rb_end 'there is no sha256sum, sha256, shasum or openssl to compare the digest with'
}

# Of the file $3: by GNU's words, or BSD's.
rb_attribute() {
    stat -c "$1" -- "$3" 2>/dev/null || stat -f "$2" "$3" 2>/dev/null
}
