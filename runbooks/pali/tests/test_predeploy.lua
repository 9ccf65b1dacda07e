local lu, mock = require "luaunit", require "mock"
local pali = require "lib.pali"

local GATEWAY, LOG, DRILL = "https://pali.example", "/var/log/nginx/access.log", "/var/backups/restore-drill.json"
local MOUNTS = "/proc/self/mountinfo"

--- The machine behind its gateway, of which two requests at once are one too many, with a repository and a monitor.
local function machine()
  local m = pali.machine()
  m.files:put(MOUNTS, "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 8:2 / /etc/pali rw - ext4 /dev/sdb1 rw\n"
    .. "3 1 8:3 / " .. pali.DATA .. " rw - ext4 /dev/sdc1 rw\n")
  m.files:put(DRILL, json.encode { at = 1764547200 - 3600 })
  m.exec["git -C * rev-parse --show-toplevel"] = { code = 128, stderr = "fatal: not a git repository" }
  m.owner, m.mode = "pali", "700"
  m.exec["stat -L -c * -- " .. pali.DATA] = function()
    return m.owner .. " " .. m.mode .. "\n"
  end
  m.exec["git -C /srv/pali log *"] = ""
  m.exec["git -C /srv/pali grep *"] = { code = 1 }
  m.exec["awk -v mode=secrets *"] = "a-long-secret-of-it\n"
  m.exec["pali init -config *"] = "ok"
  m.exec["scripts/verify_docs_examples.sh"] = "no drift"
  m.exec["openssl s_client *"] = "CONNECTED"
  m.exec["openssl s_client * -tls1*"] = { code = 1, stderr = "alert protocol version" }
  local asked = 0
  m.http["GET https://pali.example/health"] = function()
    asked = asked + 1
    m.files:put(LOG, m.files:get(LOG) .. "a request\n")
    return { status = asked % 2 == 0 and m.too_many or 200, tls = { valid_until = "2026-06-01T00:00:00Z" } }
  end
  m.too_many = 429
  m.http["GET https://monitor.example/watched"] = "pali qdrant"
  return m
end

local function predeploy(m, more)
  local params = {
    repository = "/srv/pali",
    data = pali.DATA,
    service_user = "pali",
    jwt_secret_length = 32,
    gateway = GATEWAY,
    access_log = LOG,
    burst = 4,
    monitor = "https://monitor.example/watched",
    watched = { "pali" },
    drill = DRILL,
    change_window = "24h",
  }
  return pali.run(m, "predeploy", params, more)
end

--- A fault is found by its row and by no other.
local function finds(title, change, more)
  local m = machine()
  change(m)
  local run = predeploy(m, more)
  lu.assertEquals(run.status, "failed")
  lu.assertEquals(pali.failed(run), { title })
end

TestPredeploy = {}

function TestPredeploy:test_a_machine_that_is_ready()
  local run = predeploy(machine())
  lu.assertEquals(run.status, "succeeded")
  lu.assertEquals(run.evidence["of 4"].refused > 0, true)
end

function TestPredeploy:test_the_secrets_of_the_configuration_are_seen_by_nobody()
  local run = predeploy(machine())
  for _, call in ipairs(run.requests "exec") do
    lu.assertNotStrContains(json.encode(call.request), "a-long-secret-of-it")
  end
end

function TestPredeploy:test_development_needs_no_auth_and_no_tls()
  local m = machine()
  m.config["auth.enabled"] = "=false"
  local run = predeploy(m, { environment = "dev" })
  lu.assertEquals(run.status, "succeeded")
  lu.assertEquals(run.checks["auth.enabled is true"].verdict, "skip")
end

function TestPredeploy:test_configuration_in_a_repository()
  finds("the configuration is outside of any repository", function(m)
    m.exec["git -C /etc/pali rev-parse --show-toplevel"] = "/etc\n"
  end)
end

function TestPredeploy:test_data_in_a_repository()
  finds("the data are outside of any repository", function(m)
    m.exec["git -C " .. pali.DATA .. " rev-parse --show-toplevel"] = "/var\n"
  end)
end

function TestPredeploy:test_configuration_that_is_a_link_into_a_repository()
  finds("the configuration is outside of any repository", function(m)
    local realpath = m.exec["realpath -e -- *"]
    m.exec["realpath -e -- *"] = function(call)
      return call.argv[4] == pali.CONFIG and "/etc/pali/../srv/pali.yaml\n" or realpath(call)
    end
    m.exec["git -C /etc/pali/../srv rev-parse --show-toplevel"] = "/srv\n"
  end)
end

function TestPredeploy:test_configuration_that_is_not_mounted()
  finds("the configuration is mounted", function(m)
    m.files:put(MOUNTS, (m.files:get(MOUNTS):gsub("2 1[^\n]*\n", "")))
  end)
end

function TestPredeploy:test_a_secret_in_the_history()
  finds("no jwt_secret was ever committed", function(m)
    m.exec["git -C /srv/pali log *[Jj][Ww][Tt]*"] = "abc1234\n\nconfig/pali.yaml\n"
  end)
end

function TestPredeploy:test_a_secret_of_the_configuration_in_the_tree()
  finds("no secret of this configuration is in it", function(m)
    m.exec["git -C /srv/pali grep *"] = "HEAD:config/pali.yaml\n"
  end)
end

function TestPredeploy:test_pali_refuses_the_configuration()
  finds("pali init accepts the configuration", function(m)
    m.exec["pali init -config *"] = { code = 1, stderr = "unknown key" }
  end)
end

function TestPredeploy:test_documents_that_have_drifted()
  finds("the documents' commands have not drifted", function(m)
    m.exec["scripts/verify_docs_examples.sh"] = 1
  end)
end

function TestPredeploy:test_auth_that_is_off()
  finds("auth.enabled is true", function(m)
    m.config["auth.enabled"] = "=false"
  end)
end

function TestPredeploy:test_a_jwt_secret_that_is_short()
  finds("auth.jwt_secret is long and random", function(m)
    m.config["auth.jwt_secret"] = "#12 3.5 0.6"
  end)
end

function TestPredeploy:test_a_jwt_secret_of_words()
  finds("auth.jwt_secret is long and random", function(m)
    m.config["auth.jwt_secret"] = "#40 3.5 0.05"
  end)
end

function TestPredeploy:test_old_tls()
  finds("the gateway speaks nothing older than TLS 1.2", function(m)
    m.exec["openssl s_client * -tls1_1"] = "CONNECTED"
  end)
end

function TestPredeploy:test_a_gateway_without_tls()
  finds("the gateway speaks nothing older than TLS 1.2", function(m)
    m.exec["openssl s_client *"] = 1
  end)
end

function TestPredeploy:test_a_database_outside_of_the_data()
  finds("sqlite_dsn is a file on persistent storage", function(m)
    m.config["database.sqlite_dsn"] = "=file:/tmp/pali.db"
  end)
end

function TestPredeploy:test_data_of_another_user()
  finds("the directory is the service user's alone", function(m)
    m.owner = "root"
  end)
end

function TestPredeploy:test_data_that_others_may_read()
  finds("the directory is the service user's alone", function(m)
    m.mode = "755"
  end)
end

function TestPredeploy:test_neo4j_without_a_password()
  finds("the Neo4j password is there where facts are in Neo4j", function(m)
    m.config["entity_fact_backend"] = "=neo4j"
  end)
end

function TestPredeploy:test_embeddings_that_are_not_ready()
  finds("the embeddings provider is ready", function(m)
    m.config["embedding.provider"] = "=openai"
    m.http["GET http://127.0.0.1:11434/ready"] = mock.fail "http.refused"
  end, { embeddings = "http://127.0.0.1:11434/ready" })
end

function TestPredeploy:test_a_gateway_without_a_limit()
  finds("the gateway limits the rate", function(m)
    m.too_many = 200
  end)
end

function TestPredeploy:test_a_gateway_that_logs_nothing()
  finds("the gateway logs its requests", function(m)
    m.http["GET https://pali.example/health"] =
      mock.turns { { status = 429, tls = { valid_until = "2026-06-01T00:00:00Z" } } }
  end)
end

function TestPredeploy:test_a_process_that_nobody_watches()
  finds("process and dependencies are watched from outside", function() end, { watched = { "pali", "neo4j" } })
end

function TestPredeploy:test_a_drill_that_is_too_long_ago()
  finds("a restore was tested in this change window", function(m)
    m.files:put(DRILL, json.encode { at = 1764547200 - 48 * 3600 })
  end)
end

function TestPredeploy:test_no_drill_at_all()
  finds("a restore was tested in this change window", function(m)
    m.files:remove(DRILL)
  end)
end
