/* Memory for texts that must not be found where they do not belong: pages that are in no core dump, are not swapped
 * where the system allows it, and are wiped when they are given back. */
#ifndef RB_SECRETMEM_H
#define RB_SECRETMEM_H

#include "base/rb.h"

/* n zeroed bytes (whole pages: for few, long-lived things). Never NULL. The first call also makes the process opaque:
 * no core dump, and no other process of the same user can read its memory. */
void *rb_secretmem_alloc(size_t n);
void rb_secretmem_free(void *p, size_t n); /* NULL is one; n as it was asked for */
/* A NUL-terminated copy; give it back with n + 1. */
char *rb_secretmem_copy(const char *s, size_t n);

#endif
