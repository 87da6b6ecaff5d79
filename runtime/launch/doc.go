// Package launch forks a child that runs a plan and ends in the user's program.
//
// There is no re-exec, no helper binary and no second start of the Go runtime:
// the child is one loop of raw system calls over memory that the parent has
// prepared. The only thing it says is what it writes to the report pipe:
// nothing but the end of file when the program was executed, else one record
// with the op and its errno.
//
// The package imports runtime/plan and nothing else of Berth.
package launch
