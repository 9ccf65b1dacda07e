# A command whose output is its own from the first byte on (behind common.sh and sudo.sh where it runs through sudo).
# What is to be said of it stands on the error output, on a line of its own, whatever the login has said before.
rb_no() {
    printf '\nrbhost-no %s\n' "$*" >&2
    exit 1
}
printf '\nrbhost-here\n' >&2
if IFS= read -r rb_what; then eval "$rb_what"; else rb_no 'the request was cut on its way'; fi
[ -z "$rb_sudo" ] || rb_may_sudo "$@" || rb_no "$rb_why"
[ -n "$rb_sudo" ] || exec "$@"
rb_by_sudo "$@"
exit
