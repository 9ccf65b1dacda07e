#!/usr/bin/env python3
"""Each way in which a host can not be reached: its kind, its outcome, and that the message says what to do. Nothing is
started, and the run goes on.

# time-limit: 240
"""
import os
import socket
import sys

sys.path.insert(0, os.environ["T"] + "/e2e")
from book import ends
from farlab import Lab, words
from lib import check, contains, eq, finish, lacks

lab = Lab(2)
lab.__enter__()
silent = socket.socket()  # takes connections and never says a word
silent.bind(("127.0.0.1", 0))
silent.listen(20)
dead = socket.socket()
dead.bind(("127.0.0.1", 0))  # nobody listens there
lab.alias("silent", HostName="127.0.0.1", Port=silent.getsockname()[1])
lab.alias("closed", HostName="127.0.0.1", Port=dead.getsockname()[1])
lab.alias("stranger", "web01", IdentityFile=str(lab.other_key))
lab.alias("nowhere", HostName="name.invalid")
lab.alias("jumped", "web02", ProxyJump="web01")

TRY = """
local function try(host, opts)
    for _, call in ipairs {
        function() return ssh(host, { "touch", "@LAB@/was" }, opts) end,
        function() return ssh(host, { "true" }, { read = true, connect_timeout = opts and opts.connect_timeout }) end,
        function() return ssh.upload(host, { content = "x", to = "x", connect_timeout = opts and opts.connect_timeout }) end,
    } do
        local ok, e = pcall(call)
        print(ok and "fine" or e.kind .. " " .. e.outcome, ok or tostring(e))
    end
end
try(ARGS)
"""


def tries(name, args, kind, *says):
    c = lab.case(TRY.replace("ARGS", args))
    r = c.run()
    ends(f"{name}: the run goes on", r, 0)
    said = words(c)
    eq(f"{name}: an effect, a read and a file: {kind}", [line.split("  ")[0] for line in said], [f"{kind} not_started"] * 3)
    for part in says:
        check(f"{name}: the message says {part!r}", all(part in line for line in said), "\n".join(said))
    check(f"{name}: nothing was done", not (lab.dir / "was").exists())
    return said


tries("a name that is not known", '"nowhere"', "ssh.name", "DNS")
tries("a port that nobody listens on", '"closed"', "ssh.refused", "is sshd running there")
tries("a host that does not answer", '"silent", { connect_timeout = "500ms" }', "ssh.timeout", "no connection within 0.5s",
      "connect_timeout", "ssh -v")
tries("a key that is not authorized", '"stranger"', "ssh.auth", "publickey", "ssh -o BatchMode=yes")
lab.forget("web01")
tries("a host whose key nobody has accepted", '"web01"', "ssh.host_key", "compare it", "ssh -o StrictHostKeyChecking=ask -F ")
lab.impostor("web01")
tries("a host with another key", '"web01"', "ssh.host_key_changed", f"`ssh-keygen -f {lab.known_hosts} -R web01.lab`", "somebody stands between")
lab.trust("web01")
lab.config.write_text("NoSuchOption yes\n" + lab.config.read_text())
tries("a configuration that ssh does not accept", '"web01"', "ssh.config", "configuration")
lab.write_client_config()

c = lab.case('print(ssh("jumped", "echo $LAB_HOST").stdout)\nprint(ssh({ host = "web02", jump = "web01" }, "echo $LAB_HOST").stdout)')
ends("through a jump host", c.run(), 0)
eq("it is the host behind it", words(c), ["web02\n", "web02\n"])

c = lab.case('local _, e = pcall(ssh, "web01", { "true" }) print(e.kind, tostring(e))')
r = c.run(env={"PATH": "/nonexistent"})
contains("where there is no ssh, the package is named", "\n".join(words(c)), "openssh-client")

# retry: what was not started is tried again
c = lab.case("""
    local n = 0
    local r = ssh("web01", { "true" }, { retry = { times = 3, delay = "10ms", on = function(e)
        n = n + 1
        ssh("web02", "touch @LAB@/open")
        return e.kind == "ssh.auth"
    end } })
    print(n, r.code)
""")
lab.alias("web01", "web01", IdentityFile=str(lab.other_key))
lab.write_client_config()
(lab.dir / "open").unlink(missing_ok=True)
r = c.run()
check("a retry ends with the last error", r.returncode == 1 and "ssh web01" in r.stderr, r.stderr)
eq("and each attempt is recorded", len([e for e in c.events("record") if e.get("op") == "attempt"]), 3)

# MaxSessions and a shell that is none
lab.aliases.clear()
lab.write_client_config()
lab.set(ForceCommand="/bin/echo this account is for files only")
c = lab.case('local _, e = pcall(ssh, "web01", { "touch", "@LAB@/was" }) print(e.kind, e.outcome, tostring(e))')
ends("an account with a forced command", c.run(), 0)
contains("says that its shell does not answer", "\n".join(words(c)), "ssh.session  not_started")
lab.close()
finish()
