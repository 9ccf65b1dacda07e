--- Runs a runbook in a test, with answers in place of the world:
---
---     local lu, mock = require "luaunit", require "mock"
---     local run = mock.run("../deploy.lua", { exec = { ["git verify-tag *"] = "Good signature" } })
---
--- It is there in files that `rbhost test` runs (docs/testing.md); anywhere else it says so.
error("mock is for tests: put them into a file test_*.lua and call `rbhost test` with it", 0)
