-- Commands on other machines: one host, many hosts, files. `rbhost run --limit 'web0[1-2]' ssh.lua` narrows the lists.
-- The hosts here are those of lab/ssh_config; without `config` they are the ones that `ssh` itself knows.
-- before: mkdir -p .config/rbhost
-- before: echo "return { ssh = { config = 'lab/ssh_config' } }" > .config/rbhost/config.lua
local web = ssh.hosts("web[01-03]", "!web03")

checklist "Before" {
  { "Hosts", "all of them answer", function()
    ssh.each(web, { read = true, timeout = "30s" }, { "true" })
  end },
  { "Disk", "there is space", function()
    for _, r in ipairs(ssh.each(web, { read = true }, "df -Pk . | tail -n 1")) do
      local used = tonumber(r.stdout:match "(%d+)%%")
      evidence(r.host, used .. " % used")
    end
  end },
}

step("Release", function()
  ssh.each(web, { limit = 2 }, function(host)
    ssh.upload(host, { content = "version = 2\n", to = "app.conf", mode = "0640" })
    undo("the old configuration", function()
      ssh(host, { "rm", "-f", "app.conf" })
    end)
    -- What happens over there happens once, whatever becomes of this host meanwhile.
    ssh(host, "sleep 0.1; cat app.conf >>app.history", { timeout = "1m" })
  end)
end)

-- A host that can not be reached is told from a command that failed.
local ok, e = pcall(ssh, "web01", { "sh", "-c", "echo no such release >&2; exit 3" })
print(ok, e.kind, e.outcome, e.result.code)
