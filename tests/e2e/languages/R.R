# SPDX-License-Identifier: Apache-2.0
# usage: see languages.sh
words <- commandArgs(trailingOnly = TRUE)
if (words[1] == "write") {
    out <- file(words[2], "wb")
    writeBin(charToRaw(words[3]), out)
    close(out) # warns of a write that failed
} else if (words[1] == "read") {
    cat(readLines(words[2], warn = FALSE), sep = "\n")
} else {
    file <- file(words[2], "r+b", raw = TRUE)
    writeBin(charToRaw(words[3]), file)
    flush(file)
    repeat {
        part <- readBin(file, "raw", 65536)
        if (length(part) == 0) break
        cat(rawToChar(part))
    }
}
