/* Owns the list of primitives. */
#include "bind/bind.h"

#include <stddef.h>

const struct rb_binding rb_bindings[] = {
    {"exec", rb_bind_exec},
    {"sleep", rb_bind_sleep},
    {"gate", rb_bind_gate},
    {"secret", rb_bind_secret},
    {"sql", rb_bind_sql},
    {"sql_drop", rb_bind_sql_drop},
    {"http", rb_bind_http},
    {"http_stream", rb_bind_http_stream},
    {"http_event", rb_bind_http_event},
    {"http_stream_close", rb_bind_http_stream_close},
    {"file", rb_bind_file},
    {"ssh", rb_bind_ssh},
    {"ssh_upload", rb_bind_ssh_upload},
    {"ssh_download", rb_bind_ssh_download},
    {"ssh_groups", rb_bind_ssh_groups},
    {"ssh_names", rb_bind_ssh_names},
    {"notify", rb_bind_notify},
    {NULL, NULL},
};
