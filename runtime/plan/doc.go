// Package plan is a compiled list of system calls: what a forked child does
// between fork(2) and execve(2), as plain data.
//
// A [Program] is position independent. Its arguments are literals, slots or
// addresses in one data segment, so it can travel to another process in a
// memfd and be run there by a loop that neither allocates nor calls Go
// (runtime/launch). The same data prints as text, one op per line, like
// strace(1) before the fact, and explains a failure: the child reports an op's
// index and an errno, [Program.Describe] makes the sentence.
//
// Programs are made with a [Builder]. Nothing in this package looks at the
// running system.
package plan
