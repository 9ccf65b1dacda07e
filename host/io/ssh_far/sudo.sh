# What is to be run, and whether sudo lets us.

# What is to be run, from a line that no program sees: sets rb_cwd rb_sudo rb_password, and functions that set the
# environment (rb_env) and tell what it sets (rb_names).
rb_take() {
    IFS= read -r rb_what
}

# Whether sudo lets us, before anything has begun: its own words when it does not. Afterwards a ticket stands for what
# this shell starts, or (rb_ask) sudo keeps none and wants the password each time.
rb_may_sudo() {
    rb_ask=
    command -v sudo >/dev/null 2>&1 || rb_refuse "sudo: there is none"
    if [ -z "$rb_password" ]; then
        rb_t=$(sudo -n -l -- "$@" 2>&1) || rb_refuse "sudo: ${rb_t#sudo: }"
    else
        rb_say "$rb_password" | sudo -S -p '' -v 2>"why.$rb_own_id" || rb_ask=no
        rb_t=$(tail -n 1 "why.$rb_own_id")
        rm -f "why.$rb_own_id"
        [ -z "$rb_ask" ] || rb_refuse "sudo: ${rb_t#sudo: }"
        sudo -n -v 2>/dev/null || rb_ask=1
    fi
}

# Through a sudo that wants the password each time: it comes first on standard input, rb_own_id behind it, and whether
# sudo takes it or not, the command shall not get it.
rb_asked() {
    sudo -S -p '' ${rb_names:+"--preserve-env=$rb_names"} -- /bin/sh -c \
        'IFS= read -r l; [ "$l" = "$0" ] || IFS= read -r l; exec "$@"' "$rb_own_id" "$@"
}
