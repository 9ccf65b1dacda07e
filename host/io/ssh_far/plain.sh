# A command without a receipt, which becomes what this shell is: its process is the leader of the session's group. Used
# when it does not fit on the command line, where three kinds of login shell read it.
rb_no() {
    printf 'rbhost-no %s\n' "$*"
    exit 127
}
if IFS= read -r rb_what; then eval "$rb_what"; else rb_no 'the request was cut on its way'; fi
[ -z "$rb_cwd" ] || cd "$rb_cwd" 2>/dev/null || rb_no "there is no folder $rb_cwd, or no way into it"
printf 'rbhost-pid %s\n' "$$"
rb_env
exec "$@"
