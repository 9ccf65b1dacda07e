/* A URL as the policy sees it: in parts, each in one form only, so that two ways to write the same place are the same
 * and a place that only looks like another is not (RFC 3986 §6; what servers make of paths). No allocation. */
#ifndef RB_POLICY_URL_H
#define RB_POLICY_URL_H

#include "base/rb.h"

struct rb_policy_url {
    char method[24];   /* capitals; "" when none stood before it */
    bool secure;       /* https */
    char host[256];    /* lower case, no dot at its end; an IPv4 address as four numbers, IPv6 without brackets */
    bool address;      /* the host is an address, not a name */
    int port;          /* the scheme's when none is written */
    char path[8192];   /* begins with "/"; unreserved characters decoded, no "." and ".." in it */
    const char *query; /* borrowed: behind the "?", up to a "#" */
    size_t query_len;
};

/* "METHOD URL" or "URL". RB_EINVAL: `why` says what about it can not be judged. */
int rb_policy_url_read(const char *text, struct rb_policy_url *out, const char **why);

/* The one form of a host (n bytes, IPv6 in brackets or without) as in `host`; *address: it is one. False: it is no
 * host. */
bool rb_policy_host(const char *text, size_t n, char out[256], bool *address);

#endif
