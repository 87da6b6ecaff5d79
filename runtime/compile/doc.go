// Package compile turns an OCI configuration into a plan: the list of system
// calls that makes the container and ends in its program.
//
// Compiling is a function of its arguments. It opens nothing, looks at no file
// and asks the kernel nothing: abilities come in as kernel.Facts, what the
// caller has opened comes in as named handles. So a plan can be printed before
// it is run, compared with a golden file, and made on another machine.
//
// The order of a container's plan:
//
//  1. entry: session, stdio, sockets of the caller; PID and time namespaces
//     that need a fork;
//  2. prepare, in the host's mount namespace: everything that a path of the
//     host names becomes an fd (rootfs and bind sources as detached mounts,
//     namespaces to join);
//  3. namespaces;
//  4. the tree, by openat2(2) below the root's fd: mounts, devices, masks;
//  5. pivot_root(2), after which the host's tree is gone;
//  6. the process: limits, credentials, capabilities;
//  7. created: wait for the start byte; execve(2).
//
// "placed", the wait for the systemd job that puts the child into its scope,
// comes as late as it can: before the cgroup namespace, which freezes the view
// of where the child is, and in any case before step 6. Mounts of cgroups come
// after it, and so after everything else where nothing depends on them.
package compile
