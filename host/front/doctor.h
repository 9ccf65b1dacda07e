/* What the doctors share: a finding, one line each, with what to do. */
#ifndef RB_DOCTOR_H
#define RB_DOCTOR_H

#include "front/cli.h"

enum rb_verdict { RB_FINE, RB_WARN, RB_BAD };

struct rb_doctor {
    struct rb_cli *cli;
    struct rb_buf out;
    int warnings, failures;
};

void rb_doctor_say(struct rb_doctor *d, enum rb_verdict v, const char *what, const char *fmt, ...) RB_PRINTF(4, 5);

/* Another machine: [user@]host[:port]. What would break the receipts of commands there; clean: sweeps old ones. */
void rb_doctor_host(struct rb_doctor *d, const char *host, bool clean);

#endif
