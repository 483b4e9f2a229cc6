# SPDX-License-Identifier: Apache-2.0
# usage: see languages.sh
import sys
from pathlib import Path

way, path = sys.argv[1:3]
if way == "write":
    with open(path, "w+") as file:
        file.write(sys.argv[3])
elif way == "read":
    print(Path(path).read_text(), end="")
else:
    with open(path, "r+b", buffering=0) as file:
        file.write(sys.argv[3].encode())
        sys.stdout.buffer.write(file.readall())
