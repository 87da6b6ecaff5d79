// Command berthctl is the command line client of berthd. It talks D-Bus and nothing else, but for two commands
// that need no service: plan compiles a bundle by itself, logs asks the journal.
//
// One file holds one command: its flags, the call and what it prints. See berthctl(1).
package main

import (
	"context"
	"os"
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
