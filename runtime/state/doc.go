// Package state keeps the records of containers on disk: one directory a container, made before anything else of
// it and removed after everything else. What is here is what a restarted service knows for certain.
//
//	<root>/.lock             held while a Store is open
//	<root>/<id>/state.json   the Record; replaced atomically, absent only while the directory comes or goes
//	<root>/<id>/start        the FIFO that a created container waits on
//
// The root is on a tmpfs (/run/berth/containers), so it is empty after a boot, as the host is.
package state
