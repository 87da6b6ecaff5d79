package spec

// filesystems maps each supported type to its own options and the check of their values.
var filesystems = map[string]map[string]func(string) error{}
