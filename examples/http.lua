-- Requests to an API: reading, checking, changing, and what is told of an error. The API here is an
-- nginx that listens on a socket file, so that the example needs no port; with a URL alone it is the same.
-- before: mkdir -p www tmp && echo '{"status":"green","version":7}' > www/health && chmod 777 . www tmp
-- before: echo "pid pid; error_log error.log; events {} http { access_log off;" > nginx.conf
-- before: for d in client_body proxy fastcgi uwsgi scgi; do echo "${d}_temp_path tmp;" >> nginx.conf; done
-- before: echo "server { listen unix:$PWD/api.sock; root $PWD/www; dav_methods PUT DELETE; } }" >> nginx.conf
-- before: /usr/sbin/nginx -p "$PWD/" -e error.log -c nginx.conf >/dev/null 2>&1
-- then: kill "$(cat pid)"
local api = { unix = "api.sock" }

local function with(more)
  for k, v in pairs(api) do
    more[k] = v
  end
  return more
end

check("API", "it is healthy", function()
  local r = http.get("http://api/health", with { expect = 200, timeout = "5s", retry = { times = 5, delay = "1s" } })
  evidence("health", r.body)
  return r.json().status == "green"
end)

-- PUT and DELETE may be repeated: after a crash they are, without a question.
http.put("http://api/motd", with { json = { text = "back at noon" } })
assert(http.get("http://api/motd", api).json().text == "back at noon")
http.delete("http://api/motd", api)

-- An error says what was tried and what came back.
local ok, e = pcall(http.get, "http://api/motd", api)
print(ok, e.kind, e.outcome, e.result.status, e.message)

-- To a file, which appears when it is whole.
local saved = http.get("http://api/health", with { save = "health.json" }).saved
print(saved.size, saved.sha256)
