/* The Lua modules that the build put into the program (tools/embed.c). */
#ifndef RB_EMBED_H
#define RB_EMBED_H

#include <stddef.h>

struct rb_embed {
    const char *name;          /* path below stdlib/ without .lua: "rollout", "rt/steps" */
    const unsigned char *data; /* bytecode for rt/…, text for all others */
    size_t len;
};

extern const struct rb_embed rb_stdlib[]; /* ends with {0} */

#endif
