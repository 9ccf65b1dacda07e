/* System calls without a C library, for the shim: each gives its result or the negative errno, nothing touches memory
 * of its own. The library's start alone costs as much as the rest of the shim together (it asks the processor what it
 * can do, and below a hypervisor each answer takes its time), and a receipt must stay cheap. */
#ifndef RB_SHIM_SYS_H
#define RB_SHIM_SYS_H

#include <asm/unistd.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__x86_64__)
static inline long sys6(long n, long a, long b, long c, long d, long e, long f)
{
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    long ret;
    __asm__ volatile("syscall"
                     : "=a"(ret)
                     : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return ret;
}
/* The stack as the kernel leaves it is the argument of shim_main(). */
#define SHIM_ENTRY \
    __asm__(".globl _start\n_start:\n xor %ebp,%ebp\n mov %rsp,%rdi\n and $-16,%rsp\n call shim_main\n hlt\n")
#elif defined(__aarch64__)
static inline long sys6(long n, long a, long b, long c, long d, long e, long f)
{
    register long x8 __asm__("x8") = n;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = f;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory", "cc");
    return x0;
}
#define SHIM_ENTRY __asm__(".globl _start\n_start:\n mov x29,#0\n mov x30,#0\n mov x0,sp\n bl shim_main\n brk #1\n")
#else
#error "host/shim/sys.h does not know how this machine makes a system call"
#endif

#define SYS(name, a, b, c, d, e) sys6(__NR_##name, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), 0)

#endif
