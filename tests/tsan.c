/* For the variant tsan alone: Lua's errors leave C functions through __longjmp_chk(), which gcc's thread sanitizer does
 * not know. It takes the functions for ones that have never returned, so that its stacks grow with each error until
 * everything is slow and the program ends. Defined in the program, the name is this one for liblua, too. */
#include <setjmp.h>

void __longjmp_chk(struct __jmp_buf_tag *env, int value) __attribute__((noreturn));
void __longjmp_chk(struct __jmp_buf_tag *env, int value)
{
    longjmp(env, value);
}
