package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/berth-project/berth/dbusapi/client"
	"github.com/berth-project/berth/dbusapi/wire"
)

// createFlags are the flags of create and run.
type createFlags struct {
	bundle      string
	env         []string
	annotations []string
	slice       string
	properties  []string
	log         string
	listenFDs   []string
}

func (f *createFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVarP(&f.bundle, "bundle", "b", ".", "`DIR` with the OCI bundle")
	flags.StringArrayVarP(&f.env, "env", "e", nil, "add `NAME=VALUE` to the environment; NAME alone takes it from here")
	flags.StringArrayVar(&f.annotations, "annotation", nil, "add the annotation `NAME=VALUE`")
	flags.StringVar(&f.slice, "slice", "", "`SLICE` of the scope (default machine.slice)")
	flags.StringArrayVarP(&f.properties, "property", "p", nil, "set the property `NAME=VALUE` of the scope")
	flags.StringVar(&f.log, "log", "", "where output goes, `journald` or none (default journald)")
	flags.StringArrayVar(&f.listenFDs, "listen-fd", nil, "pass the descriptor `FD[:NAME]` by socket activation")
	_ = cmd.RegisterFlagCompletionFunc("bundle", completeDirs)
	_ = cmd.RegisterFlagCompletionFunc("log", completeWords(cobra.ShellCompDirectiveNoFileComp, wire.LogJournald, wire.LogNone))
	names := propertyNames()
	for i := range names {
		names[i] += "="
	}
	_ = cmd.RegisterFlagCompletionFunc("property", completeWords(cobra.ShellCompDirectiveNoSpace, names...))
}

// options makes the bundle's absolute path and the options of Create. An error is a usage error.
func (f *createFlags) options() (bundle string, o client.CreateOptions, err error) {
	if f.bundle == "" {
		return "", o, fmt.Errorf("the name of the bundle is empty")
	}
	if bundle, err = filepath.Abs(f.bundle); err != nil {
		return "", o, fmt.Errorf("find bundle %q: %w", f.bundle, err)
	}
	if f.log != "" && f.log != wire.LogJournald && f.log != wire.LogNone {
		return "", o, fmt.Errorf("parse log %q: neither %q nor %q", f.log, wire.LogJournald, wire.LogNone)
	}
	o.Slice, o.Log = f.slice, f.log
	if o.Environment, err = environment(f.env); err != nil {
		return "", o, err
	}
	if o.Annotations, err = annotations(f.annotations); err != nil {
		return "", o, err
	}
	for _, text := range f.properties {
		p, err := parseProperty(text)
		if err != nil {
			return "", o, err
		}
		o.ScopeProperties = append(o.ScopeProperties, client.Property{Name: p.Name, Value: p.Value})
	}
	for _, text := range f.listenFDs {
		file, err := listenFD(text)
		if err != nil {
			return "", o, err
		}
		o.ListenFDs = append(o.ListenFDs, file)
	}
	return bundle, o, nil
}

// environment completes words without a value from our own environment; a variable that is not set there is
// left out.
func environment(words []string) ([]string, error) {
	var env []string
	for _, word := range words {
		name, _, hasValue := strings.Cut(word, "=")
		if name == "" {
			return nil, fmt.Errorf("parse variable %q: not NAME=VALUE", word)
		}
		if !hasValue {
			value, set := os.LookupEnv(name)
			if !set {
				continue
			}
			word = name + "=" + value
		}
		env = append(env, word)
	}
	return env, nil
}

func annotations(words []string) (map[string]string, error) {
	m := make(map[string]string, len(words))
	for _, word := range words {
		name, value, ok := strings.Cut(word, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("parse annotation %q: not NAME=VALUE", word)
		}
		m[name] = value
	}
	return m, nil
}

// listenFD takes one of our own descriptors; "unknown" is the name sd_listen_fds_with_names(3) gives to one
// without a name.
func listenFD(text string) (client.NamedFile, error) {
	number, name, named := strings.Cut(text, ":")
	if !named {
		name = "unknown"
	}
	fd, err := strconv.Atoi(number)
	if err != nil || fd < 0 {
		return client.NamedFile{}, fmt.Errorf("parse descriptor %q: not FD[:NAME]", text)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
		return client.NamedFile{}, fmt.Errorf("pass descriptor %q: %w", text, err)
	}
	return client.NamedFile{Name: name, File: os.NewFile(uintptr(fd), name)}, nil
}

func (a *app) createCommand() *cobra.Command {
	var flags createFlags
	cmd := &cobra.Command{
		Use:   "create ID",
		Short: "Create a container from an OCI bundle, ready to start",
		Long: "Create a container. Everything is set up but its program, which waits for 'berthctl start'. Its output\n" +
			"goes to the journal.",
		Args:              exactly("ID"),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			bundle, options, err := flags.options()
			if err != nil {
				return usageError{err}
			}
			bus, err := a.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer bus.Close() //nolint:errcheck // nothing is lost with it
			if _, err := bus.Create(cmd.Context(), args[0], bundle, options); err != nil {
				return failed("create", args[0], err)
			}
			return nil
		},
	}
	flags.register(cmd)
	return cmd
}
