-- rt.words: what is near to what, and that stdlib/meta/rbhost.lua documents exactly the words that there are.
local lu = require "luaunit"
local words = require "rt.words"

TestWords = {}

function TestWords.test_nearest()
    lu.assertEquals(words.nearest("tiemout", words.globals), "timeout")
    lu.assertEquals(words.nearest("notAGlobal", words.globals), nil)
    lu.assertEquals(words.nearest("on-failure", words.header), "on_failure")
    lu.assertEquals(words.nearest("onFailure", words.header), "on_failure")
    lu.assertEquals(words.nearest("x", { y = true }), nil)
    lu.assertEquals(words.nearest(("x"):rep(1000), words.globals), nil)
    lu.assertEquals(words.nearest("b", { ab = true, ba = true }), "ab")
end

os.exit(lu.LuaUnit.run())
