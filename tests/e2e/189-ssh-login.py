#!/usr/bin/env python3
"""Which shell starts a read over ssh: /bin/sh the first time, then the login shell itself where it reads the same."""

import os
import sys

sys.path.insert(0, os.environ["T"] + "/e2e")
from farlab import Lab
from lib import eq, finish

# Everything goes through this: the line that was sent is written down, and then given to a shell.
RUN = "echo \"$SSH_ORIGINAL_COMMAND\" >>$LAB/lines; "
READS = r"""
    for i = 1, 3 do print(ssh("web01", { "printf", "%s|", "it is $HOME *", i }, { read = true }).stdout) end
    print(ssh("web01", "echo $((6 * 7)); exit 3", { read = true, check = false }).code)
    print(ssh("web01", { "printf", "it's" }, { read = true }).stdout)
    """
WANT = ["it is $HOME *|1|", "it is $HOME *|2|", "it is $HOME *|3|", "3", "it's"]

lab = Lab(1, ForceCommand=RUN + 'eval "$SSH_ORIGINAL_COMMAND"', SetEnv="SHELL=/bin/bash")
lab.__enter__()


def sent():
    path = lab.dir / "lines"
    lines = [line.split(" rbhost")[0] if "rb_s" in line else line for line in path.read_text().splitlines()]
    path.unlink()
    return lines


FIRST = """exec /bin/sh -c 'echo rbhost-pid $$ $SHELL;exec "$@"' rbhost 'printf' '%s|' 'it is $HOME *' """
LATER = "echo rbhost-pid $$;exec 'printf' '%s|' 'it is $HOME *' "
TEXT = "echo rbhost-pid $$;exec /bin/sh -c 'echo $((6 * 7)); exit 3'"
INPUT = "exec /bin/sh -c 'IFS= read -r rb_s&&eval \"$rb_s\"'"

lab.prints("a POSIX login shell: the results are the commands' own", READS, WANT)
eq("after the first read it starts them itself; a word that shells read each in its own way goes over the input",
   sent(), [FIRST + "'1'", LATER + "'2'", LATER + "'3'", TEXT, INPUT])

lab.set(ForceCommand=RUN + 'exec fish -c "$SSH_ORIGINAL_COMMAND"', SetEnv="SHELL=/bin/bash")
lab.prints("a shell that is not the one SHELL names: nothing is lost, nothing runs twice", READS, WANT)
eq("the second read is said again to /bin/sh, and all after it are",
   sent(), [FIRST + "'1'", LATER + "'2'", FIRST + "'2'", FIRST + "'3'",
            TEXT.replace("echo rbhost-pid $$;exec /bin/sh -c '", "exec /bin/sh -c 'echo rbhost-pid $$ $SHELL;"), INPUT])

lab.set(ForceCommand=RUN + 'exec tcsh -c "$SSH_ORIGINAL_COMMAND"', SetEnv="SHELL=/bin/tcsh")
lab.prints("a login shell that is csh reads what it always did", READS, WANT)
eq("each of its reads goes through /bin/sh", [line.startswith("exec /bin/sh -c ") for line in sent()], [True] * 5)

lab.set(ForceCommand=RUN + 'eval "$SSH_ORIGINAL_COMMAND"', SetEnv="SHELL=/bin/bash")
lab.prints(
    "effects, also without a receipt, are not given to a shell that was only believed",
    r"""
    ssh("web01", { "true" }, { read = true })
    ssh("web01", { "true" }, { survive = false })
    """,
    [],
)
eq("an effect with survive = false goes through /bin/sh", sent()[1].startswith("exec /bin/sh -c "), True)

lab.__exit__()
finish()
