/* Which addresses lead back to this machine or to its wire, however they are written. */
#ifndef RB_POLICY_ADDRESS_H
#define RB_POLICY_ADDRESS_H

#include <sys/socket.h>

#include "base/rb.h"

enum rb_address {
    RB_ADDRESS_OTHER,
    RB_ADDRESS_LOOPBACK,   /* 127/8, 0/8, ::1, :: and what embeds them */
    RB_ADDRESS_LINK_LOCAL, /* 169.254/16, fe80::/10, metadata services of clouds */
    RB_ADDRESS_UNKNOWN,    /* neither IPv4 nor IPv6 */
};

enum rb_address rb_address_class(const struct sockaddr *address);
const char *rb_address_text(const struct sockaddr *address, char out[64]); /* as messages write it */
int rb_address_port(const struct sockaddr *address);                       /* 0: none is set */

#endif
