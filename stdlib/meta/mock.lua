---@meta mock
-- Tests of runbooks: what `require "mock"` is in files that `rbhost test` runs. docs/testing.md explains it.

---@alias mock.Answer any Short for the result of the verb; a function(call) that returns one; what mock.turns, mock.fail and mock.after give.
---@alias mock.Answers table<string, mock.Answer>|fun(call: mock.Call): mock.Answer By pattern, in which * stands for anything; or for every call of the kind.

---@class mock.Options
---@field params? table<string, any> A secret one is a text of 8 bytes or more.
---@field exec? mock.Answers "git verify-tag *"
---@field ssh? mock.Answers "web1: systemctl restart app"
---@field http? mock.Answers "GET http://127.0.0.1/*"
---@field sql? mock.Answers "SELECT * FROM users"
---@field file? mock.Answers|mock.Files "read /etc/app.conf"
---@field notify? mock.Answers "ops: *"
---@field answers? mock.Answers To approve and manual, by their text.
---@field signals? mock.Answers To signal, by its name.
---@field secrets? table<string, string>
---@field env? table<string, string> For env(name).
---@field groups? table<string, string[]> Of hosts.
---@field now? number Seconds since 1970 when it begins.
---@field actor? string Who starts it.
---@field limit? string As `rbhost run --limit`.
---@field dry? boolean As `rbhost run --dry`.

---@class mock.Call
---@field kind "exec"|"ssh"|"http"|"sql"|"file"|"notify"|"answers"|"signals"
---@field line string What patterns are held against.
---@field where string file:line of the runbook.
---@field step string The key of the operation.
---@field class "effect"|"read"|"wait"
---@field request table All that the verb was given.
---@field argv? string[]
---@field command? string
---@field stdin? string
---@field host? string
---@field method? string
---@field url? string
---@field headers? table<string, string>
---@field body? string
---@field dsn? string
---@field text? string Of a statement, a message, a question.
---@field params? any[]|table<string, any>
---@field verb? "read"|"write"|"stat"|"list"|"digest"|"remove"|"mkdir"
---@field path? string
---@field content? string
---@field channel? string
---@field severity? string

---@class mock.Step
---@field title string
---@field stage? string
---@field kind "step"|"check"|"checklist"
---@field verdict string "pass", "fail", "skip", or the kind of what ended it.
---@field why? string Of one that was skipped.
---@field error? string

---@class mock.Run
---@field status "succeeded"|"failed"|"denied"|"undone"|"cancelled"|"timed_out"
---@field error? rbhost.Error
---@field steps table<integer|string, mock.Step> In order, and by title.
---@field checks table<integer|string, mock.Step>
---@field evidence table<string, any> The last one of each name.
---@field undo string[] Titles of the compensations that are armed, last first.
---@field undo_error? rbhost.Error
---@field restarted boolean It has ended with restart_with.
---@field printed string[]
---@field warnings string[]
---@field notes string[]
---@field ended number Its clock at the end.
---@field calls fun(kind?: string): string[] A line for each call, in order.
---@field requests fun(kind?: string): mock.Call[]
---@field run_undo fun(): mock.Run Runs the compensations.
---@field retry fun(): mock.Run Goes on from where it failed.

---@class mock.Files Files in memory.
---@field put fun(self: mock.Files, path: string, content: string, stat?: table)
---@field get fun(self: mock.Files, path: string): string?
---@field folder fun(self: mock.Files, path: string, stat?: table)
---@field copy fun(self: mock.Files, from: string, to: string)
---@field move fun(self: mock.Files, from: string, to: string)
---@field remove fun(self: mock.Files, path: string): boolean
---@field paths fun(self: mock.Files): string[]

---@class mock
local mock = {}

---Runs a runbook to its end.
---@param path string beside the file of tests
---@param options? mock.Options
---@return mock.Run
function mock.run(path, options) end

---One answer after the other; the last one stays.
---@param answers mock.Answer[]
---@return mock.Answer
function mock.turns(answers) end

---An error in place of a result.
---@param kind string|{ kind: string, message: string?, outcome: "not_started"|"failed"|"unknown"|nil, retryable: boolean?, result: any }
---@param message? string
---@return mock.Answer
function mock.fail(kind, message) end

---An answer that takes its time.
---@param delay rbhost.Duration
---@param answer mock.Answer
---@return mock.Answer
function mock.after(delay, answer) end

---Nobody answers a question: its time-out comes.
---@type mock.Answer
mock.nobody = nil

---Files in memory, which answer all of `file`.
---@param files? table<string, string|table|boolean> path → content, { content =, mode =, owner = }, or true for a folder
---@return mock.Files
function mock.files(files) end

return mock
