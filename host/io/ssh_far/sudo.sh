# What is to be run, and whether sudo lets us.

# From a line that no program sees: sets rb_cwd rb_sudo rb_password rb_names (of what rb_env sets, for sudo), makes the
# function rb_env, and ends with `set --` and the words of the command.
rb_take() {
    IFS= read -r rb_what
}

# Whether sudo lets us, before anything has begun; rb_why is what it says when it does not. With a password there is a
# ticket afterwards for what this shell starts, or (rb_ask) sudo keeps none and wants the password each time.
rb_may_sudo() {
    rb_ask=
    rb_why='sudo: there is none'
    command -v sudo >/dev/null 2>&1 || return 1
    if [ -z "$rb_password" ]; then
        rb_why=$(sudo -n -l -- "$@" 2>&1 </dev/null) && return
    else
        rb_why=$({ rb_say "$rb_password" | sudo -S -p '' -v; } 2>&1 && echo yes)
        if [ "$rb_why" != "${rb_why%yes}" ]; then
            rb_say "$rb_password" | sudo -S -p '' -v 2>/dev/null # again: the ticket is for children of this very shell
            sudo -n -v 2>/dev/null </dev/null || rb_ask=1
            return 0
        fi
    fi
    rb_why="sudo: $(rb_say "$rb_why" | tail -n 1 | sed 's/^sudo: //')"
    return 1
}

# As root, with the password that was given. This shell stays, since the ticket is its own.
rb_by_sudo() {
    if [ -z "$rb_password" ]; then
        exec sudo -n ${rb_names:+"--preserve-env=$rb_names"} -- "$@"
    elif [ -z "$rb_ask" ]; then
        sudo -n ${rb_names:+"--preserve-env=$rb_names"} -- "$@"
    else
        # Whether sudo takes the password off its input or, for this command, does not: the command shall not get it.
        { rb_say "$rb_password" && rb_say "$rb_own_id" && cat; } |
            sudo -S -p '' ${rb_names:+"--preserve-env=$rb_names"} -- /bin/sh -c \
                'IFS= read -r l; [ "$l" = "$0" ] || IFS= read -r l; exec "$@"' "$rb_own_id" "$@"
    fi
}
