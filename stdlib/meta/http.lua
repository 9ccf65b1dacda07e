---@meta http
-- Requests: http. What all operations share is in rbhost.lua.

---@class rbhost.Tls
---@field ca? string File with the authorities to trust instead of the system's.
---@field cert? string File with a client certificate.
---@field key? string File with its key.
---@field key_password? string|rbhost.Secret Of the key, where it is encrypted.
---@field insecure? boolean true: the server's certificate is not verified.
---@field name? string The name that the certificate must be for; default: the URL's host.
---@field pins? string|string[] Digests of the server's key, "sha256//…": one of them must fit.

---@class rbhost.HttpWire
---@field headers? table<string, string|number|rbhost.Secret|(string|rbhost.Secret)[]>
---@field query? table<string, any> Encoded and put behind the URL; of a list each element.
---@field auth? { user: string, password: string|rbhost.Secret } Basic.
---@field bearer? string|rbhost.Secret
---@field tls? rbhost.Tls
---@field unix? string A socket file that is spoken to instead of the URL's host.
---@field max_body? integer Bytes kept of the answer, default 1 MiB (in a file: 16 GiB).
---@field proxy? boolean false: no proxy, whatever the configuration says.
---@field connect_timeout? rbhost.Duration Default 10 s.
---@field http2? boolean Ask for HTTP/2; default HTTP/1.1.

---@class rbhost.HttpOptions: rbhost.HttpWire
---@field timeout? rbhost.Duration Of the whole request with its answer, default 30 s.
---@field follow? integer How many redirects; default 5 for GET and HEAD, else 0.
---@field expect? integer|string|(integer|string)[]|false Statuses that are no error: 200, "2xx", "200-299", a list; false: every one. Default "2xx".
---@field save? string The body goes to this file, which appears when it is whole.
---@field read? boolean It looks and changes nothing; default for GET, HEAD and OPTIONS.
---@field idempotent? boolean Doing it twice does no harm; default for PUT and DELETE.
---@field on_doubt? rbhost.OnDoubt
---@field retry? rbhost.RetryOptions|false
---@field secret? boolean The texts of its result are secrets; the journal holds them encrypted.
---@field title? string

---@class rbhost.HttpBodyOptions: rbhost.HttpOptions
---@field json? any
---@field form? table<string, any>
---@field multipart? table<string, any> Texts, or { file = path, name = …, type = … }.
---@field body? string|rbhost.Secret|{ file: string }

---@class rbhost.HttpRequest: rbhost.HttpBodyOptions
---@field method? string Default GET.
---@field url string|rbhost.Secret

---@class rbhost.HttpEventsOptions: rbhost.HttpWire
---@field timeout? rbhost.Duration The longest silence between two events, default 5 min.
---@field reconnect? boolean true: a stream that the server ends is opened again; default: only one that broke.
---@field max_event? integer Bytes of one event, default 1 MiB.
---@field last_id? string Begin behind this event.
---@field method? string Default GET.
---@field json? any
---@field title? string

---@class rbhost.HttpResult
---@field status integer
---@field headers table<string, string|string[]> Names in lower case; repeated ones joined by ", ", set-cookie a list.
---@field body string
---@field json fun(): any The body as JSON.
---@field url string That gave it, after redirects.
---@field time { dns: number?, connect: number?, tls: number?, first_byte: number?, total: number } Seconds since the start.
---@field tls? { issuer: string, subject: string, not_after: integer, valid_until: string }
---@field reused boolean The connection was there already.
---@field redirects? string[] The URLs that led there.
---@field saved? { path: string, size: integer, sha256: string }
---@field body_cut? { total: integer, sha256: string } Where not all of it was kept.
---@field retry_after? number Seconds that the server asks to wait.
---@field assumed? "done"|"skip"|"dry" a word stands for the world's: nobody saw an answer

---@class rbhost.Http
---@overload fun(request: rbhost.HttpRequest): rbhost.HttpResult
http = {}

---@param url string|rbhost.Secret
---@param opts? rbhost.HttpOptions
---@return rbhost.HttpResult
function http.get(url, opts) end

---@param url string|rbhost.Secret
---@param opts? rbhost.HttpOptions
---@return rbhost.HttpResult
function http.head(url, opts) end

---@param url string|rbhost.Secret
---@param opts? rbhost.HttpBodyOptions
---@return rbhost.HttpResult
function http.post(url, opts) end

---@param url string|rbhost.Secret
---@param opts? rbhost.HttpBodyOptions
---@return rbhost.HttpResult
function http.put(url, opts) end

---@param url string|rbhost.Secret
---@param opts? rbhost.HttpBodyOptions
---@return rbhost.HttpResult
function http.patch(url, opts) end

---@param url string|rbhost.Secret
---@param opts? rbhost.HttpBodyOptions
---@return rbhost.HttpResult
function http.delete(url, opts) end

---Server-sent events: fn is called with each until it returns true or "stop", or the server ends the stream. Each is an
---op: a resumed run sees the same ones and asks for what came after them. Returns how many there were.
---@param url string|rbhost.Secret
---@param opts? rbhost.HttpEventsOptions
---@param fn fun(event: { id: string?, event: string, data: string }): any
---@return integer
function http.events(url, opts, fn) end
