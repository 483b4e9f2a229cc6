# SPDX-License-Identifier: Apache-2.0
# usage: see languages.sh
way, path, text = ARGV
case way
when "write"
  File.open(path, "w+") { |file| file.write(text) }
when "read"
  print File.read(path)
when "call"
  File.open(path, "r+") do |file|
    file.sync = true
    file.write(text)
    print file.read
  end
end
