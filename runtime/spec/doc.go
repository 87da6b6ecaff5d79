// Package spec reads an OCI config.json strictly and judges it before anything is done with it.
//
// [Decode] turns bytes into a [specs.Spec] and reports every wrong type, duplicate key and unknown
// field with its JSON path; [Validate] reports every value that the runtime specification or the
// kernel refuses, and every feature Berth does not have yet. Both collect all findings instead of
// stopping at the first, and both are pure: no stat, no probe, no clock. [LoadBundle] is the one
// function here that touches the file system.
//
// What passes without an Error finding is all that runtime/compile has to handle. The vocabulary
// both sides need (option words, capabilities, rlimits, sysctl names ...) is exported from here, so
// that there is one table of each.
//
// Sources: the runtime-spec 1.3 documents config.md and config-linux.md; each [Finding] names the
// section that it rests on.
package spec
