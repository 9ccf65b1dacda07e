/* What ssh says on its standard error when there is no connection, as a reason and one line for a person. Only for
 * io/ssh*.c. */
#ifndef RB_SSH_WHY_H
#define RB_SSH_WHY_H

#include "io/ssh.h"

#define RB_SSH_TEXT_MAX 400

/* `said` are n bytes that anybody may have written, `code` is ssh's exit code. text becomes one printable line. */
enum rb_ssh_why rb_ssh_why_of(const char *said, size_t n, int code, char text[RB_SSH_TEXT_MAX]);

/* The last line of it that says something, printable; "" when there is none. */
void rb_ssh_last_line(const char *said, size_t n, char text[RB_SSH_TEXT_MAX]);

#endif
