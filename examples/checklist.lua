-- A checklist as it stands in a document: stage, check, how it is proved. It runs all rows, then fails once, at the
-- end, naming every failed check; `rbhost retry` looks again at what failed, here after the file has been made.
-- exit: 1
-- then: touch ready; rbhost retry latest
checklist "Before the release" {
    {
        "Tools",
        "a shell is there",
        function()
            evidence("shell", exec({ "sh", "-c", "command -v sh" }, { read = true }).stdout)
        end,
    },
    {
        "Data",
        "the data is ready",
        function()
            return exec({ "test", "-e", "ready" }, { read = true, check = false }).code == 0
        end,
    },
    {
        "Data",
        "a replica keeps up",
        function()
            skip "there is only one database"
        end,
    },
}

-- One that changes something says so; it runs alone, and a dry run only lists it.
check("Data", "the folder can be written", function()
    exec { "sh", "-c", "touch probe && rm probe" }
end, { acts = true })
