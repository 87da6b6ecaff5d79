package plan

import "golang.org/x/sys/unix"

// flagNames names the bits of a word; an entry with several bits comes before
// those that are part of it.
type flagNames []struct {
	bits uint64
	name string
}

// enumNames names values that are numbers, not sets of bits.
type enumNames map[uint64]string

func (t enumNames) literal() format {
	return format{literal: func(v uint64) string {
		if name, ok := t[v]; ok {
			return name
		}
		return hex.literal(v)
	}}
}

var (
	cloneFlags = flagNames{
		{unix.CLONE_NEWNS, "CLONE_NEWNS"}, {unix.CLONE_NEWPID, "CLONE_NEWPID"}, {unix.CLONE_NEWNET, "CLONE_NEWNET"},
		{unix.CLONE_NEWIPC, "CLONE_NEWIPC"}, {unix.CLONE_NEWUTS, "CLONE_NEWUTS"}, {unix.CLONE_NEWCGROUP, "CLONE_NEWCGROUP"},
		{unix.CLONE_NEWTIME, "CLONE_NEWTIME"}, {unix.CLONE_NEWUSER, "CLONE_NEWUSER"},
	}
	openFlags = flagNames{
		{unix.O_PATH, "O_PATH"}, {unix.O_DIRECTORY, "O_DIRECTORY"}, {unix.O_NOFOLLOW, "O_NOFOLLOW"}, {unix.O_RDWR, "O_RDWR"},
		{unix.O_WRONLY, "O_WRONLY"}, {unix.O_CREAT, "O_CREAT"}, {unix.O_NONBLOCK, "O_NONBLOCK"}, {unix.O_CLOEXEC, "O_CLOEXEC"},
	}
	resolveFlags = flagNames{
		{unix.RESOLVE_IN_ROOT, "RESOLVE_IN_ROOT"}, {unix.RESOLVE_BENEATH, "RESOLVE_BENEATH"},
		{unix.RESOLVE_NO_SYMLINKS, "RESOLVE_NO_SYMLINKS"}, {unix.RESOLVE_NO_MAGICLINKS, "RESOLVE_NO_MAGICLINKS"}, {unix.RESOLVE_NO_XDEV, "RESOLVE_NO_XDEV"},
	}
	attrFlags = flagNames{
		{unix.MOUNT_ATTR_RDONLY, "RDONLY"}, {unix.MOUNT_ATTR_NOSUID, "NOSUID"}, {unix.MOUNT_ATTR_NODEV, "NODEV"},
		{unix.MOUNT_ATTR_NOEXEC, "NOEXEC"}, {unix.MOUNT_ATTR__ATIME, "_ATIME"}, {unix.MOUNT_ATTR_NOATIME, "NOATIME"},
		{unix.MOUNT_ATTR_STRICTATIME, "STRICTATIME"}, {unix.MOUNT_ATTR_NODIRATIME, "NODIRATIME"}, {unix.MOUNT_ATTR_NOSYMFOLLOW, "NOSYMFOLLOW"},
	}
	propagationFlags = flagNames{
		{unix.MS_SHARED, "MS_SHARED"}, {unix.MS_SLAVE, "MS_SLAVE"}, {unix.MS_PRIVATE, "MS_PRIVATE"}, {unix.MS_UNBINDABLE, "MS_UNBINDABLE"},
	}
	atFlags = flagNames{
		{unix.AT_EMPTY_PATH, "AT_EMPTY_PATH"}, {unix.AT_RECURSIVE, "AT_RECURSIVE"}, {unix.AT_SYMLINK_NOFOLLOW, "AT_SYMLINK_NOFOLLOW"}, {unix.AT_EACCESS, "AT_EACCESS"},
	}
	treeFlags = flagNames{
		{unix.OPEN_TREE_CLONE, "OPEN_TREE_CLONE"}, {unix.OPEN_TREE_CLOEXEC, "OPEN_TREE_CLOEXEC"}, {unix.AT_RECURSIVE, "AT_RECURSIVE"}, {unix.AT_EMPTY_PATH, "AT_EMPTY_PATH"},
	}
	moveFlags       = flagNames{{unix.MOVE_MOUNT_F_EMPTY_PATH, "F_EMPTY_PATH"}, {unix.MOVE_MOUNT_T_EMPTY_PATH, "T_EMPTY_PATH"}}
	fsopenFlags     = flagNames{{unix.FSOPEN_CLOEXEC, "FSOPEN_CLOEXEC"}}
	fspickFlags     = flagNames{{unix.FSPICK_CLOEXEC, "FSPICK_CLOEXEC"}, {unix.FSPICK_EMPTY_PATH, "FSPICK_EMPTY_PATH"}}
	fsmountFlags    = flagNames{{unix.FSMOUNT_CLOEXEC, "FSMOUNT_CLOEXEC"}}
	closeRangeFlags = flagNames{{unix.CLOSE_RANGE_CLOEXEC, "CLOSE_RANGE_CLOEXEC"}}
	umountFlags     = flagNames{{unix.MNT_DETACH, "MNT_DETACH"}}
	socketTypes     = flagNames{{unix.SOCK_CLOEXEC, "SOCK_CLOEXEC"}, {unix.SOCK_DGRAM, "SOCK_DGRAM"}}

	fsconfigCommands = enumNames{unix.FSCONFIG_SET_FLAG: "SET_FLAG", unix.FSCONFIG_SET_STRING: "SET_STRING", unix.FSCONFIG_CMD_CREATE: "CREATE", unix.FSCONFIG_CMD_RECONFIGURE: "RECONFIGURE"}
	ioctls           = enumNames{unix.SIOCSIFFLAGS: "SIOCSIFFLAGS"}
	keyctlCommands   = enumNames{unix.KEYCTL_JOIN_SESSION_KEYRING: "JOIN_SESSION_KEYRING"}
	socketFamilies   = enumNames{unix.AF_INET: "AF_INET"}
	prctls           = enumNames{
		unix.PR_SET_DUMPABLE: "PR_SET_DUMPABLE", unix.PR_CAPBSET_DROP: "PR_CAPBSET_DROP", unix.PR_SET_KEEPCAPS: "PR_SET_KEEPCAPS",
		unix.PR_SET_NO_NEW_PRIVS: "PR_SET_NO_NEW_PRIVS", unix.PR_CAP_AMBIENT: "PR_CAP_AMBIENT",
	}
	rlimits = enumNames{
		unix.RLIMIT_AS: "RLIMIT_AS", unix.RLIMIT_CORE: "RLIMIT_CORE", unix.RLIMIT_CPU: "RLIMIT_CPU", unix.RLIMIT_DATA: "RLIMIT_DATA",
		unix.RLIMIT_FSIZE: "RLIMIT_FSIZE", unix.RLIMIT_LOCKS: "RLIMIT_LOCKS", unix.RLIMIT_MEMLOCK: "RLIMIT_MEMLOCK", unix.RLIMIT_MSGQUEUE: "RLIMIT_MSGQUEUE",
		unix.RLIMIT_NICE: "RLIMIT_NICE", unix.RLIMIT_NOFILE: "RLIMIT_NOFILE", unix.RLIMIT_NPROC: "RLIMIT_NPROC", unix.RLIMIT_RSS: "RLIMIT_RSS",
		unix.RLIMIT_RTPRIO: "RLIMIT_RTPRIO", unix.RLIMIT_RTTIME: "RLIMIT_RTTIME", unix.RLIMIT_SIGPENDING: "RLIMIT_SIGPENDING", unix.RLIMIT_STACK: "RLIMIT_STACK",
	}
)
