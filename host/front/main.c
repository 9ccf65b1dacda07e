/* The program's entry, apart from all else so that tests and benchmarks can link everything but this. */
#include "bind/bind.h"
#include "front/cli.h"

int main(int argc, char **argv)
{
    rb_lib_bindings(rb_bindings);
    return rb_cli_main(argc, argv);
}
