/* Numbered fault points for the crash tests. In the product they are nothing; in the fault build (-DRB_FAULT) each
 * passage counts, and the process is killed with SIGKILL at the one that RBHOST_FAULT names.
 *
 *   RBHOST_FAULT=kill:N        SIGKILL at the N-th passage of any point (1 is the first)
 *   RBHOST_FAULT=kill:NAME:N   at the N-th passage of the point NAME
 *   RBHOST_FAULT=stop:…        SIGSTOP in the same way
 *   RBHOST_FAULT=count         runs to the end; RBHOST_FAULT_LOG gets one line "N NAME" for each passage
 *
 * A mutation (-DRB_FAULT too) is a deliberate defect that the tests must catch: RBHOST_MUTATE=name. */
#ifndef RB_FAULT_H
#define RB_FAULT_H

#include "base/rb.h"

#ifdef RB_FAULT
void rb_fault_point(const char *name); /* may be called from any thread */
bool rb_mutation(const char *name);    /* true when RBHOST_MUTATE names it */
#else
#define rb_fault_point(name) ((void)0)
#define rb_mutation(name) (false)
#endif

#endif
