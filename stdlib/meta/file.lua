---@meta file
-- Files of this machine: file. What all operations share is in rbhost.lua.

---@class rbhost.FileOptions
---@field timeout? rbhost.Duration Default "5m".
---@field retry? rbhost.RetryOptions
---@field title? string

---@class rbhost.FileReadOptions: rbhost.FileOptions
---@field max? integer Bytes, default 1 MiB; a larger file is an error.
---@field cut? boolean The beginning of a larger file is enough.
---@field secret? boolean The content is a secret: opaque, redacted from then on, encrypted in the journal.

---@class rbhost.FileStatOptions: rbhost.FileOptions
---@field follow? boolean What a link leads to, instead of the link.

---@class rbhost.FileListOptions: rbhost.FileOptions
---@field recursive? boolean What is in its folders, too. Links are not followed.
---@field depth? integer Levels of folders, default 64.
---@field glob? string Only names that match; with a slash in it, paths below the folder that match.
---@field max? integer Entries, default 10,000; more is an error.
---@field cut? boolean Some of them are enough.

---@class rbhost.FileActOptions: rbhost.FileOptions
---@field on_doubt? rbhost.OnDoubt Default: it looks what is there, and does what is missing.

---@class rbhost.FileWriteOptions: rbhost.FileActOptions
---@field mode? string Such as "0640". Default: of the file that is replaced, else "0644", else, for a secret, "0600".
---@field backup? boolean|string Keep the old content: true is the ending ".bak", another ending begins with a dot, anything else is a path.
---@field create? "new" It must not be there.
---@field expect? string SHA-256: replace only this content.

---@class rbhost.FileRemoveOptions: rbhost.FileActOptions
---@field recursive? boolean What is in the folder, too; never across a mount, and no link is followed.
---@field missing_ok? boolean That there is nothing is no error.
---@field max? integer Entries that recursive may remove, default 10,000.

---@class rbhost.FileMkdirOptions: rbhost.FileActOptions
---@field parents? boolean The folders above it, too; that it is there is no error.
---@field mode? string Default "0755".

---@class rbhost.FileStat
---@field type "file"|"folder"|"link"|"fifo"|"socket"|"character device"|"block device"
---@field mode string "0644"
---@field size integer bytes
---@field uid integer
---@field gid integer
---@field owner? string
---@field group? string
---@field links integer names that it has
---@field mtime number seconds since 1970
---@field target? string of a link

---Files of this machine. A relative path is below the runbook's folder.
file = {}

---The content. Text or bytes, as it is.
---@param path string
---@param opts? rbhost.FileReadOptions
---@return string|rbhost.Secret content
---@return integer? size with cut = true: of the whole file
function file.read(path, opts) end

---What is there; nil when nothing is. Of a link: the link itself.
---@param path string
---@param opts? rbhost.FileStatOptions
---@return rbhost.FileStat?
function file.stat(path, opts) end

---What is in a folder, sorted by name.
---@param path string
---@param opts? rbhost.FileListOptions
---@return { name: string, type: string }[]
function file.list(path, opts) end

---The SHA-256 of the content.
---@param path string
---@param opts? rbhost.FileOptions
---@return string hex
function file.digest(path, opts) end

---Replaces the file as a whole, or makes it: at every moment it is the old one or the new one, and lasting when this
---returns.
---@param path string
---@param content string|rbhost.Secret
---@param opts? rbhost.FileWriteOptions
---@return { path: string, size: integer, backup: string? }
function file.write(path, content, opts) end

---Removes a file, a link or an empty folder.
---@param path string
---@param opts? rbhost.FileRemoveOptions
---@return boolean was_there
function file.remove(path, opts) end

---Makes a folder.
---@param path string
---@param opts? rbhost.FileMkdirOptions
---@return boolean made false: it was there
function file.mkdir(path, opts) end
