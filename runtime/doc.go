// Package runtime is the root of the packages that turn an OCI bundle into running processes.
//
// It holds no code. Reading order: [spec] decodes and judges a config.json, [kernel] says what the
// running kernel can do, [compile] makes a [plan] out of both, [launch] forks and runs it, [keeper]
// carries it to the process that is the parent of all containers, [state] records what must
// outlive the service, and [lifecycle] is the state machine over them.
//
// [spec]: https://pkg.go.dev/github.com/berth-project/berth/runtime/spec
// [kernel]: https://pkg.go.dev/github.com/berth-project/berth/runtime/kernel
// [compile]: https://pkg.go.dev/github.com/berth-project/berth/runtime/compile
// [plan]: https://pkg.go.dev/github.com/berth-project/berth/runtime/plan
// [launch]: https://pkg.go.dev/github.com/berth-project/berth/runtime/launch
// [keeper]: https://pkg.go.dev/github.com/berth-project/berth/runtime/keeper
// [state]: https://pkg.go.dev/github.com/berth-project/berth/runtime/state
// [lifecycle]: https://pkg.go.dev/github.com/berth-project/berth/runtime/lifecycle
package runtime
