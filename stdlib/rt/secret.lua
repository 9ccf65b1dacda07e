-- secret: opaque values by name. One whose literal name stands in the runbook was fetched before the run began; one
-- whose name is computed is fetched here, by an operation of its own.
local base = require "rt.base"

return {
    call = function(name)
        base.expect("secret", "the name", name, "string")
        return host.secret { name = name }
    end,
    fields = {
        --- Are two secrets (or a secret and a text) equal? Takes as long for a near miss as for a far one.
        equal = host.secret_equal,
    },
}
