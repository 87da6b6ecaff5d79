package main

import (
	"errors"
	"strconv"
	"strings"
)

// options are those of the command line. Package flag would bring reflection.
type options struct {
	socket        string
	version, help bool
}

func parse(args []string) (options, error) {
	var o options
	for i := 0; i < len(args); i++ {
		name, value, hasValue := strings.Cut(args[i], "=")
		switch {
		case name == "--socket":
			if !hasValue {
				i++
				if i == len(args) {
					return o, errors.New("option --socket needs a path")
				}
				value = args[i]
			}
			if value == "" {
				return o, errors.New("option --socket needs a path")
			}
			o.socket = value
		case args[i] == "--version":
			o.version = true
		case args[i] == "--help", args[i] == "-h":
			o.help = true
		default:
			return o, errors.New("argument " + strconv.Quote(args[i]) + " is not known")
		}
	}
	return o, nil
}
