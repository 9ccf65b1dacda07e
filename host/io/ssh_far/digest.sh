# The SHA-256 of standard input, by whatever is there. It is read by a login shell, as upload.sh and download.sh.
has() { command -v "$1" >/dev/null 2>&1; }
digest() {
    if has sha256sum; then
        sha256sum
    elif has shasum; then
        shasum -a 256
    elif has sha256; then
        sha256
    elif has openssl; then
        openssl dgst -sha256 -r
    fi
}
