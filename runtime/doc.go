// Package runtime is the root of the packages that turn an OCI bundle into running processes.
//
// It holds no code. Reading order: spec decodes and judges a config.json, kernel says what the running
// kernel can do, compile makes a plan out of both, launch forks and runs it, keeper carries it to the
// process that is the parent of all containers, state records what must outlive the service, and
// lifecycle is the state machine over them. Package plan, the list of system calls in between, is the
// one that all of them share.
package runtime
