package spec

import (
	"cmp"
	"path"
	"reflect"
	"slices"
	"strings"
)

func hasDotDot(p string) bool { return slices.Contains(strings.Split(p, "/"), "..") }

// isRootDir reports whether an absolute path is "/", in whatever spelling.
func isRootDir(p string) bool { return path.Clean(p) == "/" }

// containerPath checks an absolute path inside the container that Berth writes to. ".." is refused
// although openat2(2) would keep it inside: what it means depends on symbolic links of the image.
func (c *checker) containerPath(where, p, ref string) {
	switch {
	case p == "":
		c.errorf(where, ref, "is empty")
	case !path.IsAbs(p):
		c.errorf(where, ref, "%s is not an absolute path", quote(p))
	case hasDotDot(p):
		c.errorf(where, ref, "%s contains \"..\"", quote(p))
	case isRootDir(p):
		c.errorf(where, ref, "%s is the root directory itself", quote(p))
	}
}

func (c *checker) paths() {
	for i, p := range c.linux.MaskedPaths {
		c.containerPath(index("linux.maskedPaths", i), p, refMaskedPaths)
	}
	for i, p := range c.linux.ReadonlyPaths {
		c.containerPath(index("linux.readonlyPaths", i), p, refReadonlyPaths)
	}
}

// Propagation returns the MS_* flags of a propagation word, also of linux.rootfsPropagation. See mount(2).
func Propagation(word string) (uint64, bool) {
	opt, _ := LookupMountOption(word)
	return opt.Propagation, opt.Propagation != 0
}

func (c *checker) propagation() {
	word := c.linux.RootfsPropagation
	if _, ok := Propagation(word); word != "" && !ok {
		c.errorf("linux.rootfsPropagation", refPropagation, "%s is not one of shared, slave, private, unbindable, nor one of them with an \"r\" before it", quote(word))
	}
}

func sortedKeys(m reflect.Value) []reflect.Value {
	return slices.SortedFunc(slices.Values(m.MapKeys()), func(a, b reflect.Value) int {
		return cmp.Compare(a.String(), b.String())
	})
}
