// SPDX-License-Identifier: Apache-2.0
// usage: see languages.sh
package main

import (
	"fmt"
	"io"
	"os"
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func write(path, text string) {
	file, err := os.Create(path)
	check(err)
	_, err = file.WriteString(text)
	check(err)
	check(file.Close())
}

func call(path, text string) {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	check(err)
	_, err = file.WriteString(text)
	check(err)
	answer, err := io.ReadAll(file)
	os.Stdout.Write(answer)
	check(err)
	file.Close()
}

func main() {
	switch os.Args[1] {
	case "write":
		write(os.Args[2], os.Args[3])
	case "read":
		text, err := os.ReadFile(os.Args[2])
		os.Stdout.Write(text)
		check(err)
	case "call":
		call(os.Args[2], os.Args[3])
	}
}
