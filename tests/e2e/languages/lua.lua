-- SPDX-License-Identifier: Apache-2.0
-- usage: see languages.sh
local way, path, text = arg[1], arg[2], arg[3]
if way == "write" then
  local file = assert(io.open(path, "w+"))
  assert(file:write(text))
  assert(file:close())
elseif way == "read" then
  local file = assert(io.open(path))
  io.write(assert(file:read("a")))
else
  local file = assert(io.open(path, "r+"))
  assert(file:write(text))
  assert(file:flush())
  io.write(assert(file:read("a")))
end
