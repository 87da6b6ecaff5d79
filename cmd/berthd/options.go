package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
)

// options are those of the command line.
type options struct {
	config        string
	version, help bool
}

func parse(args []string) (options, error) {
	var o options
	set := flag.NewFlagSet("berthd", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.StringVar(&o.config, "config", "", "")
	set.BoolVar(&o.version, "version", false, "")
	switch err := set.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		o.help = true
	case err != nil:
		return o, err
	case set.NArg() > 0:
		return o, fmt.Errorf("argument %q is not known", set.Arg(0))
	}
	return o, nil
}

// sources are the places of the configuration.
func (o options) sources() sources {
	if o.config != "" {
		return sources{file: o.config}
	}
	return sources{dirs: []string{"/etc/berth", "/usr/lib/berth"}}
}
