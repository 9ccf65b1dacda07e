/* The program's entry, apart from all else so that tests can link everything but this. */
#include "front/cli.h"

int main(int argc, char **argv)
{
    return rb_cli_main(argc, argv);
}
