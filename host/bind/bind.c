/* Owns the list of primitives. */
#include "bind/bind.h"

#include <stddef.h>

const struct rb_binding rb_bindings[] = {
    {"exec", rb_bind_exec},     {"sleep", rb_bind_sleep}, {"gate", rb_bind_gate},
    {"secret", rb_bind_secret}, {"file", rb_bind_file},   {NULL, NULL},
};
