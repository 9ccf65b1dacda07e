#!/usr/bin/env python3
"""A real OpenSSH server for a test: the current user, keys, configuration and hosts of its own, on loopback addresses.

    with sshd.Server(TMP / "ssh", hosts=3) as s:
        s.config                     a file for `ssh -F` (rbhost: config); nothing of the user's own is read
        s.host, s.hosts              "web01"; ["web01", "web02", "web03"], each an address of its own: s.address("web01")
        s.run("web01", "hostname")   by the ssh program: .returncode, .stdout, .stderr
        s.home("web01")              the folder that is $HOME in sessions of that host (they begin in the user's real one)
        s.set(MaxSessions=2)         options of sshd_config, for connections that are made from now on; None takes one away
        s.alias("odd", "web01", IdentityFile=s.other_key)
                                     one more name of it in s.config, with options of ssh_config (that key: not authorized)

        s.sessions("web01")          ids of the processes that sshd has started for commands
        s.kill_sessions("web01")     SIGKILL to them and their groups: the connection stands
        s.connections("web01")       ids of sshd's processes that hold a connection
        s.drop_link("web01")         SIGKILL to those: the connection is cut, commands run on
        s.freeze("web01"), s.thaw()  the link goes silent, and comes back
        s.stop(), s.start()          the machine is switched off, with all that runs there, and on again (same port)

        s.forget("web01")            known_hosts no longer has it
        s.impostor("web01")          known_hosts has another key for it
        s.trust("web01")             as it was
        s.logins("web01")            how often somebody has logged in

Without a host those take all hosts. Options: Server(folder, hosts=N or names, port=…, MaxSessions=…, ForceCommand=…).
Sessions know LAB_HOST. As a program, `sshd.py FOLDER [HOSTS] [OPTION=VALUE…]`, it prints a line of JSON (config, hosts,
…) and then obeys the lines of its standard input (`drop_link web01`), each answered by a line of JSON, until that ends.

Works as an ordinary user and as root; root needs /run/sshd, which is made."""

import json
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

SLOW = float(os.environ.get("SLOW", "1"))
FIRST = 2  # 127.0.0.2 is the first host
LISTENS = 16  # addresses that one sshd takes (MAX_LISTEN_SOCKS)


def program():
    for folder in ("/usr/sbin", "/usr/local/sbin", "/usr/libexec"):
        if (found := pathlib.Path(folder, "sshd")).exists():
            return found
    sys.exit("tests/sshd.py: there is no sshd; ./bootstrap test installs it")


def wait_for(what, condition, seconds=30):
    end = time.monotonic() + seconds * SLOW
    while not (value := condition()):
        if time.monotonic() > end:
            raise RuntimeError(f"waited in vain for: {what}")
        time.sleep(0.01)
    return value


def free_port():
    with socket.socket() as s:
        s.bind(("", 0))  # on every address
        return s.getsockname()[1]


# -- processes


def processes():
    """{pid: (parent, name)} of all that live."""
    found = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            stat = pathlib.Path("/proc", entry, "stat").read_text(errors="replace")
        except OSError:
            continue
        name = stat[stat.index("(") + 1 : stat.rindex(")")]
        state, parent = stat[stat.rindex(")") + 2 :].split()[:2]
        if state not in "ZX":
            found[int(entry)] = (int(parent), name)
    return found


def has_variable(pid, text):
    try:
        return os.fsencode(text) in pathlib.Path("/proc", str(pid), "environ").read_bytes().split(b"\0")
    except OSError:
        return False


def server_sockets(port):
    """{inode: address} of the connections to this port, at the server's end."""
    found = {}
    for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]:
        words = line.split()
        address, local = words[1].split(":")
        if int(local, 16) == port:
            found[words[9]] = socket.inet_ntoa(bytes.fromhex(address)[::-1])
    return found


def address_of(pid, sockets):
    try:
        for fd in pathlib.Path("/proc", str(pid), "fd").iterdir():
            target = os.readlink(fd)
            if target.startswith("socket:[") and target[8:-1] in sockets:
                return sockets[target[8:-1]]
    except OSError:
        pass
    return None


def send(pids, number, by=os.kill):
    for pid in pids:
        try:
            by(pid, number)
        except ProcessLookupError:
            pass
    return pids


# -- the server


class Server:
    def __init__(self, folder=None, hosts=1, port=None, **options):
        self.own = folder is None
        self.dir = pathlib.Path(folder or tempfile.mkdtemp(prefix="rbssh.", dir="/tmp"))
        self.dir.mkdir(mode=0o755, parents=True, exist_ok=True)
        self.hosts = [f"web{i:02d}" for i in range(1, hosts + 1)] if isinstance(hosts, int) else list(hosts)
        self.user = pwd.getpwuid(os.getuid()).pw_name
        self.config = self.dir / "ssh_config"
        self.known_hosts = self.dir / "known_hosts"
        self.key = self.dir / "id"
        self.other_key = self.dir / "id_other"
        self.log = self.dir / "sshd.log"
        self.fixed_port = port
        self.port = port or free_port()
        self.options = {"MaxStartups": "1000", "LoginGraceTime": "60", **options}
        self.aliases = {}
        self.processes = []
        self.frozen = []
        try:
            for name in ("id", "id_other", "host_key", "impostor_key"):
                self.make_key(name)
            shutil.copy(self.dir / "id.pub", self.dir / "authorized_keys")
            for host in self.hosts:
                self.home(host).mkdir(parents=True, exist_ok=True)
            self.start()
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    @property
    def host(self):
        return self.hosts[0]

    def address(self, host):
        return f"127.0.0.{FIRST + self.hosts.index(host)}"

    def home(self, host):
        return self.dir / "home" / host

    def make_key(self, name):
        if not (self.dir / name).exists():
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", self.dir / name],
                           check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    # -- its files

    def write_server_config(self):
        """What is said first stands, so the options come before what holds for everybody, and SetEnv only by host.
        One file for each LISTENS of the hosts; how many there are."""
        lines = [f"{key} {value}" for key, value in self.options.items() if value is not None and key != "SetEnv"]
        lines += [
            f"HostKey {self.dir}/host_key", f"AuthorizedKeysFile {self.dir}/authorized_keys", "PidFile none",
            "UsePAM no", "StrictModes no", "PermitRootLogin yes", "PasswordAuthentication no",
            "KbdInteractiveAuthentication no", "UseDNS no", "PrintMotd no", "PrintLastLog no", "LogLevel VERBOSE",
            "X11Forwarding no", "Subsystem sftp internal-sftp",
        ]
        more = self.options.get("SetEnv") or ""
        if "TMPDIR" in os.environ:  # by this tests/run knows what belongs to a test
            more += f" TMPDIR={os.environ['TMPDIR']}"
        for h in self.hosts:
            lines += [f"Match LocalAddress {self.address(h)}",
                      f"    SetEnv LAB={self.dir} LAB_HOST={h} HOME={self.home(h)} {more}"]
        groups = [self.hosts[i : i + LISTENS] for i in range(0, len(self.hosts), LISTENS)]
        for i, group in enumerate(groups):
            listen = [f"ListenAddress {self.address(h)}:{self.port}" for h in group]
            (self.dir / f"sshd_config.{i}").write_text("\n".join(listen + lines) + "\n")
        return len(groups)

    def write_client_config(self):
        lines = []
        for h in self.hosts:
            lines += [f"Host {h}", f"    HostName {self.address(h)}", f"    HostKeyAlias {h}.lab"]
        for name, options in self.aliases.items():
            lines += [f"Host {name}", *(f"    {key} {value}" for key, value in options.items())]
        others = "".join(f" !{name}" for name, options in self.aliases.items() if "IdentityFile" in options)
        lines += [
            f"Host *{others}", f"    IdentityFile {self.key}",  # the one option that would be added to the alias's
            "Host *", f"    User {self.user}", f"    Port {self.port}", "    IdentitiesOnly yes",
            "    IdentityAgent none", f"    UserKnownHostsFile {self.known_hosts}", "    GlobalKnownHostsFile /dev/null",
            "    StrictHostKeyChecking yes",
        ]
        self.config.write_text("\n".join(lines) + "\n")

    def write_known_hosts(self, change=None):
        if change is None or not hasattr(self, "known"):
            self.known = {h: "host_key" for h in self.hosts}
        self.known.update(change or {})
        text = ""
        for h, key in self.known.items():
            if key:
                kind, data = (self.dir / f"{key}.pub").read_text().split()[:2]
                text += f"{h}.lab {kind} {data}\n"
        self.known_hosts.write_text(text)

    # -- on and off

    def start(self):
        if os.getuid() == 0:
            pathlib.Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        for _ in range(10):
            servers = self.write_server_config()
            self.write_client_config()
            if not self.known_hosts.exists():
                self.write_known_hosts()
            if self.listen(servers):
                return
            if self.fixed_port or "Address already in use" not in self.log.read_text(errors="replace"):
                break
            self.port = free_port()
        raise RuntimeError("sshd does not start:\n" + self.log.read_text(errors="replace")[-2000:])

    def log_size(self):
        return self.log.stat().st_size if self.log.exists() else 0

    def listens(self, since):
        return self.log.read_bytes()[since:].count(b"Server listening on ") == len(self.hosts)

    def listen(self, servers):
        before = self.log_size()
        with open(self.log, "ab") as log:
            for i in range(servers):
                self.processes.append(subprocess.Popen(
                    [program(), "-D", "-e", "-f", self.dir / f"sshd_config.{i}"], stdin=subprocess.DEVNULL, stdout=log,
                    stderr=log, cwd="/", start_new_session=True))

        def alive():
            return all(p.poll() is None for p in self.processes)

        wait_for("sshd to listen", lambda: self.listens(before) or not alive())
        good = alive()
        if not good:
            self.stop()
        return good

    def stop(self):
        """SIGKILL to the server and to all that it has started, wherever that has gone."""
        tree = [*(p.pid for p in self.processes), *self.tree()]
        send(tree, signal.SIGKILL)
        for p in self.processes:
            p.wait()
        self.processes = []
        end = time.monotonic() + 10 * SLOW
        while (left := [p for p in tree if p in processes()] + self.ours()) and time.monotonic() < end:
            send(left, signal.SIGKILL)
            time.sleep(0.01)

    def close(self):
        self.stop()
        if self.own:
            shutil.rmtree(self.dir, ignore_errors=True)

    def set(self, **options):
        self.options.update(options)
        self.write_server_config()
        before = self.log_size()
        for p in self.processes:
            p.send_signal(signal.SIGHUP)  # reads its file again and starts anew under the same id
        wait_for("sshd to listen again", lambda: self.listens(before))

    def alias(self, name, of=None, **options):
        same = {"HostName": self.address(of), "HostKeyAlias": f"{of}.lab"} if of else {}
        self.aliases[name] = {**same, **options}
        self.write_client_config()

    def trust(self, host=None):
        self.write_known_hosts({h: "host_key" for h in ([host] if host else self.hosts)})

    def forget(self, host=None):
        self.write_known_hosts({h: None for h in ([host] if host else self.hosts)})

    def impostor(self, host=None):
        self.write_known_hosts({h: "impostor_key" for h in ([host] if host else self.hosts)})

    # -- what runs

    def ours(self):
        """Every process of a session, also one that has outlived it."""
        return [p for p in processes() if has_variable(p, f"LAB={self.dir}")]

    def tree(self):
        """The server's processes: {pid: is it sshd's own}. Those that a connection has started are below it."""
        found, all_of_them = {}, processes()
        more = [p.pid for p in self.processes]
        while more:
            parents, more = more, []
            for pid, (parent, name) in all_of_them.items():
                if parent in parents and pid not in found:
                    found[pid] = name == "sshd" and not has_variable(pid, f"LAB={self.dir}")
                    if found[pid]:
                        more.append(pid)
        return found

    def connections(self, host=None):
        own = [pid for pid, sshd in self.tree().items() if sshd]
        if host is None:
            return own
        sockets = server_sockets(self.port)
        return [pid for pid in own if address_of(pid, sockets) == self.address(host)]

    def sessions(self, host=None):
        return [pid for pid, sshd in self.tree().items()
                if not sshd and (host is None or has_variable(pid, f"LAB_HOST={host}"))]

    def kill_sessions(self, host=None):
        """With their process groups: what still held their output open would keep the session open."""
        return send(self.sessions(host), signal.SIGKILL, os.killpg)

    def drop_link(self, host=None):
        pids = self.connections(host)
        send(pids, signal.SIGKILL)
        wait_for("the connection to be gone", lambda: not [p for p in pids if p in processes()])
        return pids

    def freeze(self, host=None):
        pids = send(self.connections(host), signal.SIGSTOP)
        self.frozen += pids
        return pids

    def thaw(self):
        send(self.frozen, signal.SIGCONT)
        self.frozen = []

    def logins(self, host=None):
        """From the log: "Connection from … on 127.0.0.2 port …" is followed by "Accepted …" of the same client port."""
        wanted, count = set(), 0
        for line in self.log.read_text(errors="replace").splitlines():
            words = line.split()
            if line.startswith("Connection from ") and (host is None or f" on {self.address(host)} port " in line):
                wanted.add(words[words.index("port") + 1])
            elif line.startswith("Accepted publickey ") and (port := words[words.index("port") + 1]) in wanted:
                wanted.discard(port)
                count += 1
        return count

    def run(self, host, command, **popen):
        return subprocess.run(["ssh", "-F", self.config, "-o", "BatchMode=yes", "--", host, command],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, **popen)


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the server goes too
    words = sys.argv[2:]
    hosts = int(words.pop(0)) if words and words[0].isdigit() else 1
    with Server(sys.argv[1], hosts, **dict(w.split("=", 1) for w in words)) as s:
        def say(**what):
            print(json.dumps(what), flush=True)

        say(config=str(s.config), host=s.host, hosts=s.hosts, port=s.port, user=s.user, dir=str(s.dir), key=str(s.key))
        for line in sys.stdin:
            verb, *rest = line.split()
            try:
                if verb == "set":
                    value = s.set(**{k: v or None for k, v in (w.split("=", 1) for w in rest)})
                elif verb == "alias":
                    value = s.alias(*(w for w in rest if "=" not in w), **dict(w.split("=", 1) for w in rest if "=" in w))
                elif verb == "run":
                    p = s.run(rest[0], " ".join(rest[1:]))
                    value = [p.returncode, p.stdout, p.stderr]
                else:
                    value = getattr(s, verb)(*rest)
                say(ok=value if isinstance(value, (list, int)) else None)
            except (RuntimeError, OSError, AttributeError, TypeError, ValueError) as e:
                say(error=str(e))


if __name__ == "__main__":
    main()
