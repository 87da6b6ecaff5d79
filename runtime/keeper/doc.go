// Package keeper is the protocol between the brain (berthd) and the hands (berth-keeper), both ends.
//
// The keeper is the parent of every container process: it starts plans, keeps one [Record] per process and reaps
// exactly the processes it started. [Serve] is its whole life, one single-threaded epoll loop; [Client] is the
// brain's end. The package stays off fmt, net, encoding/json and reflection, because all that it imports is resident
// memory of the keeper.
//
// # Transport
//
// A SOCK_SEQPACKET unix socket; one packet is one message; file descriptors travel as SCM_RIGHTS of the packet they
// belong to (unix(7)). Only peers whose SO_PEERCRED says uid 0 are served. All numbers are little-endian. A str8 is
// a length byte and that many bytes; a str16 has a two-byte length.
//
// # Packets
//
// Every packet starts with a header of 8 bytes:
//
//	0  u8   kind: a request's opcode; a reply's opcode | 0x80; 0x40 for a record
//	1  u8   zero
//	2  u16  number of file descriptors that come with the packet
//	4  u32  sequence number, chosen by the client and returned in the reply; 0 in a record
//
// Requests, by opcode:
//
//	1 hello   u32 magic "BRTH", u32 version, u32 flags (1: send me records). First packet, once.
//	2 launch  str8 key; fds: the plan (a sealed memfd), then its handles in the plan's order
//	3 list    u64 serial to continue after, 0 to begin
//	4 forget  str8 key, u8 how (0: only when exited; 1: SIGKILL now, forget when reaped)
//	5 kill    str8 key, u32 signal
//	6 pidfd   str8 key
//
// A reply's body is u8 code (0 done, 1 failed, 2 key in use, 3 no such process, 4 version), then, if the code is not
// 0, u32 errno and str16 text; if it is 0:
//
//	hello   u32 version
//	launch  u32 pid; fd: pidfd
//	list    u64 serial to ask for next, 0 for none, u16 count, then count records
//	pidfd   fd: pidfd
//
// A record (packet 0x40 and in list):
//
//	str8 key, u32 pid, u32 point, u8 flags (1 failed, 2 executed, 4 exited, 8 core dumped), u32 failed op, u32 errno,
//	str16 text, u32 code, u32 signal, u64 cpu µs, u64 max rss bytes, u64 started µs, u64 finished µs
//
// # Guarantees
//
// Records are whole and level-triggered: for a client that reads slowly, states in between are skipped, the newest
// one is not. A packet that does not have exactly this form closes the connection it came on, and harms nothing
// else. While a reply waits for a slow client, its further requests are not read.
package keeper
