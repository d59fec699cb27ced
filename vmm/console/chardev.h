/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * chardev.h - the host's end of a serial line: a stream of bytes each way, without blocking.
 *
 * A character device belongs to one user (a UART).  The user reads and writes from any thread
 * and, when nothing can be had or taken, asks to be called once that changes.  Bytes that the
 * host does not take stay with the user, who holds its guest back: none is lost.
 *
 * Writing to a pipe that nobody reads raises SIGPIPE, which a program that uses this ignores.
 */
#ifndef _HYVE_CHARDEV_H_
#define	_HYVE_CHARDEV_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../event/event.h"

struct chardev;

/* The key of a device that is at one end of a line: what chardev_open() opens at the other. */
#define	CHARDEV_KEY	KEY_PATH("path", NULL,								\
	    "the host's end: a terminal, a FIFO, stdio, or fd:N, a descriptor; without one, output is dropped")

/* Called on the event loop's thread with no lock held, for what the user waits for (chardev_want()). */
typedef void chardev_fn(void *arg, bool readable, bool writable);

/*
 * Open by configuration text: "null", "stdio", "fd:N", or the path of a character device, terminal
 * or FIFO.  A terminal is put into raw mode until the close: every byte passes as it is.
 *
 * N is a descriptor of this process, which stays open and is its owner's.  If it is the master's
 * end of a pseudo terminal, whose other end its owner has open too so that the terminal lasts,
 * bytes that find no room while nobody else has the terminal open are dropped: a line that nobody
 * is at does not hold a guest back.
 *
 * Errors: EINVAL (empty, no descriptor's number), EBADF, those of open(2), EBUSY (descriptor
 * watched already), ENOMEM.
 * Control thread.
 */
struct chardev *chardev_open(struct event_loop *loop, const char *what);

/* Takes every byte and gives none. */
struct chardev *chardev_open_null(void);

/*
 * A pair of descriptors, for reading (-1: none) and writing (-1: none); they may be the same.
 * owned: chardev_close() closes them.  The descriptors' file status flags are left alone, as
 * others may share them.  If the one for writing is a stream socket, 64 KiB that it does not take
 * at once wait in memory; the close gives it what it then takes.
 */
struct chardev *chardev_open_fds(struct event_loop *loop, int in, int out, bool owned);

/*
 * Standard input and output.  A terminal is put into raw mode, with the signal keys kept, until
 * the close.
 */
struct chardev *chardev_open_stdio(struct event_loop *loop);

/*
 * Two buffers in memory, size bytes each, whose far end the owner plays with chardev_ring_put()
 * and _get().  Callbacks are posted to the loop.
 */
struct chardev *chardev_open_ring(struct event_loop *loop, size_t size);
/* Far end of a ring: bytes for the user; the number that fitted.  Any thread. */
size_t	chardev_ring_put(struct chardev *cd, const void *buf, size_t len);
/* Far end of a ring: bytes that the user wrote; their number.  Any thread. */
size_t	chardev_ring_get(struct chardev *cd, void *buf, size_t len);

/* Close; no callback is under way or comes afterwards.  NULL is ignored.  Control thread. */
void	chardev_close(struct chardev *cd);

/* Who is called.  Before the first chardev_want().  Control thread. */
void	chardev_set_user(struct chardev *cd, chardev_fn *fn, void *arg);

/* Read at most len bytes; 0: none now.  Any thread. */
size_t	chardev_read(struct chardev *cd, void *buf, size_t len);
/*
 * Write at most len bytes; the number taken.  What can never be written (a closed pipe) counts as
 * taken.  Any thread.
 */
size_t	chardev_write(struct chardev *cd, const void *buf, size_t len);

/*
 * Call the user as long as bytes can be read, or written; nothing by (false, false), after
 * which on the control thread no call is under way.  Any thread.
 */
void	chardev_want(struct chardev *cd, bool readable, bool writable);

/* Whether the far end has hung up: nothing will ever be read.  Any thread. */
bool	chardev_eof(struct chardev *cd);

#endif /* _HYVE_CHARDEV_H_ */
