/* Owns the classes of addresses (RFC 6890, and what the clouds have put their metadata services at). Knows no
 * policy. */
#include "engine/policy_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

static enum rb_address class_v4(const unsigned char b[4])
{
    static const unsigned char metadata[][4] = {{100, 100, 100, 200}, {168, 63, 129, 16}}; /* Alibaba, Azure */
    if (b[0] == 127 || b[0] == 0) /* Linux takes 0.0.0.0 for this machine */
        return RB_ADDRESS_LOOPBACK;
    if (b[0] == 169 && b[1] == 254)
        return RB_ADDRESS_LINK_LOCAL;
    for (size_t i = 0; i < RB_COUNT(metadata); i++)
        if (memcmp(b, metadata[i], 4) == 0)
            return RB_ADDRESS_LINK_LOCAL;
    return RB_ADDRESS_OTHER;
}

static enum rb_address class_v6(const unsigned char b[16])
{
    static const unsigned char zero[15], mapped[12] = {[10] = 0xff, [11] = 0xff}, nat64[12] = {0x00, 0x64, 0xff, 0x9b},
                                         amazon[16] = {0xfd, 0x00, 0x0e, 0xc2, [14] = 0x02, [15] = 0x54};
    if (memcmp(b, zero, 15) == 0 && b[15] <= 1)
        return RB_ADDRESS_LOOPBACK;
    if (b[0] == 0xfe && (b[1] & 0xc0) == 0x80)
        return RB_ADDRESS_LINK_LOCAL;
    if (memcmp(b, amazon, 16) == 0)
        return RB_ADDRESS_LINK_LOCAL;
    if (memcmp(b, mapped, 12) == 0 || memcmp(b, zero, 12) == 0 || memcmp(b, nat64, 12) == 0)
        return class_v4(b + 12);
    if (b[0] == 0x20 && b[1] == 0x02) /* 6to4 */
        return class_v4(b + 2);
    return RB_ADDRESS_OTHER;
}

enum rb_address rb_address_class(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET)
        return class_v4((const unsigned char *)&((const struct sockaddr_in *)(const void *)address)->sin_addr);
    if (address->sa_family == AF_INET6)
        return class_v6(((const struct sockaddr_in6 *)(const void *)address)->sin6_addr.s6_addr);
    return RB_ADDRESS_UNKNOWN;
}

const char *rb_address_text(const struct sockaddr *address, char out[64])
{
    if (address->sa_family == AF_INET)
        inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)address)->sin_addr, out, 64);
    else if (address->sa_family == AF_INET6)
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr, out, 64);
    else
        snprintf(out, 64, "an address of family %d", address->sa_family);
    return out;
}

int rb_address_port(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET)
        return ntohs(((const struct sockaddr_in *)(const void *)address)->sin_port);
    if (address->sa_family == AF_INET6)
        return ntohs(((const struct sockaddr_in6 *)(const void *)address)->sin6_port);
    return 0;
}
