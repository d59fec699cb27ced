/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * console_server.h - a guest's serial line for people who come and go: a UNIX socket, several readers, one who writes.
 *
 * What the guest says is kept in a ring, and whoever connects is shown the last of it.  The guest is never held back by them: one who
 * does not read and falls behind by all of the ring is dropped.  Its local reader, the terminal of the process if it has one, does
 * hold it back, as a serial line with flow control does.
 *
 * The socket's type is SOCK_SEQPACKET; the first byte of a message says what it is.  A client's first message is CONSOLE_READ, CONSOLE_WRITE or
 * CONSOLE_STEAL; CONSOLE_KEYS follow.  The server sends CONSOLE_DATA and CONSOLE_TELL.
 */
#ifndef _HYVE_CONSOLE_SERVER_H_
#define	_HYVE_CONSOLE_SERVER_H_

#include <stddef.h>

#include "../event/event.h"
#include "../log.h"

#define	CONSOLE_READ	'R'	/* only read */
#define	CONSOLE_WRITE	'W'	/* write too, unless somebody does; then once he has gone */
#define	CONSOLE_STEAL	'X'	/* write, whoever does now */
#define	CONSOLE_KEYS	'K'	/* and what the guest is to read, at most CONSOLE_KEYS_MAX bytes */
#define	CONSOLE_DATA	'D'	/* and what the guest wrote */
#define	CONSOLE_TELL	'T'	/* and a sentence for the person */

#define	CONSOLE_KEYS_MAX	1024
#define	CONSOLE_DATA_MAX	4096
#define	CONSOLE_SHOWN		65536	/* bytes that a new client is shown */
#define	CONSOLE_RING		262144	/* bytes that one may fall behind */
#define	CONSOLE_CLIENTS		32

struct console_server;

/*
 * Serve the line whose far end is guest, a stream socket that does not block and is the server's from now on, also after a failure, at the
 * UNIX socket path.  What is there already is removed: the caller holds the VM's lock.  Only this user and root are let in.  NULL with a
 * sentence: errors of socket(2) and bind(2), ENOMEM.  Control thread.
 */
struct console_server *console_server_open(struct event_loop *loop, struct log *log, int guest, const char *path);
/*
 * A stream socket for the local reader, who writes unless somebody takes that away; the caller's, and so is closing it behind the server's
 * close.  Once.  -1 with a sentence.  Control thread.
 */
int	console_server_local(struct console_server *s);
/* Send what the guest said last as far as the readers take it at once, and remove the socket.  NULL is ignored.  Control thread. */
void	console_server_close(struct console_server *s);

#endif /* _HYVE_CONSOLE_SERVER_H_ */
