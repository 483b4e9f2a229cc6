// SPDX-License-Identifier: Apache-2.0
// usage: see languages.sh
const fs = require("fs");

const [, , way, path, text] = process.argv;
if (way === "write") {
  fs.writeFileSync(path, text, { flag: "w+" });
} else if (way === "read") {
  process.stdout.write(fs.readFileSync(path));
} else {
  const file = fs.openSync(path, "r+");
  fs.writeSync(file, text);
  process.stdout.write(fs.readFileSync(file));
  fs.closeSync(file);
}
