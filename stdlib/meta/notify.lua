---@meta notify
-- Messages: notify. What all operations share is in rbhost.lua.

---@class rbhost.Message What is told: a text, or a text with a headline and more.
---@field text? string|number
---@field title? string The headline; without a text it is the text.
---@field severity? "debug"|"info"|"warning"|"error"|"critical" Default "info". A channel may want a least one.
---@field fields? table<string, string|number|boolean> Named values, shown below the text.
---@field dedup? string The thing it is about: what a later message with action = "resolve" closes.
---@field action? "trigger"|"acknowledge"|"resolve" Default "trigger".

---@class rbhost.NotifyOptions
---@field timeout? rbhost.Duration Of the whole delivery, default the channel's, else 30 s.
---@field check? boolean false: a message that is not delivered is a result, not an error.
---@field idempotent? boolean
---@field on_doubt? rbhost.OnDoubt Default: the channel's, else "retry".
---@field retry? rbhost.RetryOptions
---@field title? string Of the operation, in the tree and the report.

---@class rbhost.NotifyResult
---@field delivered boolean
---@field channel string that took it: the one that was named, or one it falls back to
---@field id? string of the message: the same when it is sent again
---@field held? "severity"|"rate" why it was not delivered, on purpose
---@field error? string why it was not delivered, with check = false
---@field assumed? "done"|"skip"|"dry" a word stands for the world's: nobody saw whether it was delivered

---@class rbhost.Notify
---@overload fun(channel: string, message: string|number|rbhost.Message, opts?: rbhost.NotifyOptions): rbhost.NotifyResult
notify = {}

---Says that the thing that was told of by this key is over.
---@param channel string
---@param key string the `dedup` of the message that opened it
---@param text? string
---@return rbhost.NotifyResult
function notify.resolve(channel, key, text) end
