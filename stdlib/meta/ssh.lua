---@meta ssh
-- Other machines: ssh. What all operations share is in rbhost.lua.

---@class rbhost.Host A host in parts. What is not said is ssh's own configuration's business.
---@field host string A name that ssh knows.
---@field user? string
---@field port? integer
---@field identity? string The file of a key.
---@field jump? string Hosts on the way: "user@gate:22", with commas between.
---@field name? string For people, and in keys; default the host.

---@alias rbhost.HostLike string|rbhost.Host "web1", "user@web1", "web1:2222", or a table.

---@class rbhost.SshOptions: rbhost.ExecOptions
---@field sudo? boolean|{ password: rbhost.Secret } As root, by sudo. It never waits for a password.
---@field survive? boolean false: no receipt over there; a crash of this host leaves it in doubt.
---@field connect_timeout? rbhost.Duration Default: the configuration's, else 30 s.

---@class rbhost.SshEachOptions: rbhost.SshOptions
---@field limit? integer Hosts at a time, default 16.
---@field fail_fast? boolean The first failure cancels the rest.
---@field max_failures? integer|string When more have failed, no further host is begun: a number, or "10%".

---@class rbhost.SshUploadOptions
---@field from? string A file of this machine.
---@field content? string|rbhost.Secret Or the content itself.
---@field to string The path over there.
---@field mode? string Such as "0640". Default: of the file that is replaced, else of `from`, else "0644".
---@field owner? string Such as "app" or "app:www".
---@field sudo? boolean|{ password: rbhost.Secret } By sudo. It never waits for a password.
---@field timeout? rbhost.Duration
---@field connect_timeout? rbhost.Duration
---@field retry? rbhost.RetryOptions
---@field on_doubt? rbhost.OnDoubt Default "retry": the same file is put there once more.
---@field title? string

---@class rbhost.SshDownloadOptions
---@field from string The path over there.
---@field to? string A file of this machine. Without it the result has the content.
---@field max? integer Bytes; default 16 GiB, or 1 MiB without `to`.
---@field secret? boolean The content is a secret.
---@field sudo? boolean|{ password: rbhost.Secret } By sudo. It never waits for a password.
---@field timeout? rbhost.Duration
---@field connect_timeout? rbhost.Duration
---@field retry? rbhost.RetryOptions
---@field on_doubt? rbhost.OnDoubt
---@field title? string

---@class rbhost.SshResult: rbhost.ExecResult
---@field host string

---@class rbhost.SshFile
---@field host string
---@field path string
---@field size integer bytes
---@field sha256 string
---@field content? string|rbhost.Secret of a download without `to`

---  command on another machine, by OpenSSH's client and its configuration. A list is passed word by word, a text goes
---  to
---/bin/sh over there as it is. Another exit code than 0 is an error, unless check = false.
---@class rbhost.Ssh
---@overload fun(host: rbhost.HostLike, command: string[]|string, opts?: rbhost.SshOptions): rbhost.SshResult
ssh = {}

--- he same on many hosts. Results in the order of the hosts; what failed is one error (kind "ssh.each") with
--- `failures`.
---@param hosts string|(string|rbhost.Host)[] as ssh.hosts has them
---@param opts? rbhost.SshEachOptions
---@param what string[]|string|fun(host: rbhost.HostLike, index: integer): any
---@return any[]
function ssh.each(hosts, opts, what) end

---Puts a file over there: whole and with its digest compared, or not at all.
---@param host rbhost.HostLike
---@param opts rbhost.SshUploadOptions
---@return rbhost.SshFile
function ssh.upload(host, opts) end

---Gets a file from over there.
---@param host rbhost.HostLike
---@param opts rbhost.SshDownloadOptions
---@return rbhost.SshFile
function ssh.download(host, opts) end

---The hosts that texts stand for: names, ranges "web[01-20]", groups of the configuration, "file:PATH", globs of the
---names in ssh's configuration; "!web07" takes out again. `rbhost run --limit` narrows what comes of it.
---@param ... string|rbhost.Host|(string|rbhost.Host)[]
---@return rbhost.HostLike[]
function ssh.hosts(...) end
