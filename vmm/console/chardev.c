/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * chardev.c - the host's end of a serial line.
 *
 * Descriptors are shared with whoever gave them, so they are never made non-blocking: poll(2)
 * says whether a byte can be moved, and one write moves no more than then fits.
 *
 * A socket of the UNIX domain takes few messages, and a UART writes byte by byte: behind some 70 of them it
 * is full until the far end's thread has run, and firmware gives a UART 170 microseconds (two characters'
 * time) before it drops the text.  So what a socket does not take at once waits in a ring.
 */
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "../error.h"
#include "chardev.h"

#define	SOCKET_RING	65536

struct ring {
	uint8_t	*buf;
	size_t	 size, start, used;
};

enum chardev_kind {
	CHARDEV_NULL,
	CHARDEV_FDS,
	CHARDEV_RING,
};

struct chardev {
	enum chardev_kind kind;
	struct event_loop *loop;
	pthread_mutex_t	 lock;		/* everything below; callbacks run without it */
	chardev_fn	*fn;
	void		*arg;
	bool		 want_read, want_write;
	bool		 eof;		/* nothing more to read */
	bool		 broken;	/* nothing more to write */
	/* FDS */
	int		 in, out;
	bool		 owned, is_socket;	/* a socket's ring is from_user */
	size_t		 chunk;		/* bytes of one write that cannot block after poll() */
	struct event	*in_ev, *out_ev;	/* the same for one descriptor */
	int		 tty;		/* a terminal made raw, -1: none */
	struct termios	 cooked;	/* its modes before */
	int		 opens;		/* of a pseudo terminal's master: inotify(7) of the other end; -1: it is none */
	struct event	*opens_ev;
	unsigned	 nopen;		/* how often that is open, but for its owner */
	/* RING */
	struct ring	 to_user, from_user;
	bool		 posted;	/* a call is on its way */
};

static bool
ring_make(struct ring *r, size_t size)
{
	r->buf = malloc(size);
	r->size = r->buf != NULL ? size : 0;
	return (r->buf != NULL);
}

static size_t
ring_put(struct ring *r, const uint8_t *p, size_t len)
{
	size_t n;

	for (n = 0; n < len && r->used < r->size; n++)
		r->buf[(r->start + r->used++) % r->size] = p[n];
	return (n);
}

static size_t
ring_get(struct ring *r, uint8_t *p, size_t len)
{
	size_t n;

	for (n = 0; n < len && r->used != 0; n++, r->used--) {
		p[n] = r->buf[r->start];
		r->start = (r->start + 1) % r->size;
	}
	return (n);
}

/* The oldest bytes that lie in one piece; their number. */
static size_t
ring_piece(const struct ring *r, const uint8_t **piece)
{
	*piece = r->buf + r->start;
	return (r->used < r->size - r->start ? r->used : r->size - r->start);
}

static void
ring_drop(struct ring *r, size_t len)
{
	r->start = (r->start + len) % r->size;
	r->used -= len;
}

static struct chardev *
make(enum chardev_kind kind, struct event_loop *loop)
{
	struct chardev *cd = calloc(1, sizeof(*cd));

	if (cd == NULL)
		return (vmm_fail_null(ENOMEM, "character device: out of memory"));
	cd->kind = kind;
	cd->loop = loop;
	cd->in = cd->out = cd->tty = cd->opens = -1;
	pthread_mutex_init(&cd->lock, NULL);
	return (cd);
}

struct chardev *
chardev_open_null(void)
{
	return (make(CHARDEV_NULL, NULL));
}

struct chardev *
chardev_open_ring(struct event_loop *loop, size_t size)
{
	struct chardev *cd = make(CHARDEV_RING, loop);

	if (cd == NULL)
		return (NULL);
	if (!ring_make(&cd->to_user, size) || !ring_make(&cd->from_user, size)) {
		chardev_close(cd);
		return (vmm_fail_null(ENOMEM, "character device: out of memory"));
	}
	return (cd);
}

/* Apply what the user waits for to the events.  Lock held. */
static void
watch_fds(struct chardev *cd)
{
	unsigned in = cd->want_read && !cd->eof ? EVENT_READ : 0;
	unsigned out = cd->want_write || cd->from_user.used != 0 ? EVENT_WRITE : 0;

	if (cd->in_ev != NULL)
		event_fd_set(cd->in_ev, cd->in_ev == cd->out_ev ? in | out : in);
	if (cd->out_ev != NULL && cd->out_ev != cd->in_ev)
		event_fd_set(cd->out_ev, out);
}

/* Give the socket what it takes; how much of it that was.  Lock held. */
static size_t
send_some(struct chardev *cd, const uint8_t *p, size_t len)
{
	size_t done = 0;
	ssize_t n;

	while (done < len && !cd->broken) {
		n = send(cd->out, p + done, len - done, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n > 0)
			done += (size_t)n;
		else if (n < 0 && errno == EAGAIN)
			break;
		else if (n == 0 || errno != EINTR)
			cd->broken = true;
	}
	return (cd->broken ? len : done);
}

/* The same for what waits in the ring.  Lock held. */
static void
send_ring(struct chardev *cd)
{
	const uint8_t *p;
	size_t len, n;

	while ((len = ring_piece(&cd->from_user, &p)) != 0) {
		n = send_some(cd, p, len);
		ring_drop(&cd->from_user, n);
		if (n < len)
			break;
	}
}

static void
fd_ready(void *arg, unsigned what)
{
	struct chardev *cd = arg;
	bool readable, writable;

	pthread_mutex_lock(&cd->lock);
	if ((what & EVENT_WRITE) != 0 && cd->from_user.used != 0) {
		send_ring(cd);
		watch_fds(cd);
	}
	readable = (what & EVENT_READ) != 0 && cd->want_read;
	writable = (what & EVENT_WRITE) != 0 && cd->want_write && (!cd->is_socket || cd->from_user.used < cd->from_user.size);
	pthread_mutex_unlock(&cd->lock);
	if (cd->fn != NULL && (readable || writable))
		cd->fn(cd->arg, readable, writable);
}

struct chardev *
chardev_open_fds(struct event_loop *loop, int in, int out, bool owned)
{
	struct chardev *cd = make(CHARDEV_FDS, loop);
	struct stat st;

	if (cd == NULL)
		return (NULL);
	cd->in = in;
	cd->out = out;
	cd->eof = in < 0;
	cd->broken = out < 0;
	if (in >= 0 && (cd->in_ev = event_fd_add(loop, in, 0, fd_ready, cd)) == NULL)
		goto fail;
	if (out == in)
		cd->out_ev = cd->in_ev;
	else if (out >= 0 && (cd->out_ev = event_fd_add(loop, out, 0, fd_ready, cd)) == NULL)
		goto fail;
	/*
	 * pipe(7): a pipe that polls writable takes PIPE_BUF bytes at once.  A terminal
	 * promises room for one.
	 */
	cd->chunk = 1;
	if (out >= 0 && fstat(out, &st) == 0) {
		if (S_ISFIFO(st.st_mode) || S_ISREG(st.st_mode))
			cd->chunk = PIPE_BUF;
		cd->is_socket = S_ISSOCK(st.st_mode);
	}
	if (cd->is_socket && !ring_make(&cd->from_user, SOCKET_RING)) {
		(void)vmm_fail(ENOMEM, "character device: out of memory");
		goto fail;
	}
	cd->owned = owned;	/* only now: after a failure they are still the caller's */
	return (cd);
fail:
	chardev_close(cd);
	return (NULL);
}

/* Until the close, if fd is a terminal.  keep: it is a person's, with signal keys and line ends for the host's own messages. */
static void
make_raw(struct chardev *cd, int fd, bool keep)
{
	struct termios raw;

	if (!isatty(fd) || tcgetattr(fd, &cd->cooked) != 0)
		return;
	raw = cd->cooked;
	cfmakeraw(&raw);
	if (keep) {
		raw.c_lflag |= ISIG;
		raw.c_oflag |= OPOST;
	}
	if (tcsetattr(fd, TCSANOW, &raw) == 0)
		cd->tty = fd;
}

struct chardev *
chardev_open_stdio(struct event_loop *loop)
{
	struct chardev *cd = chardev_open_fds(loop, STDIN_FILENO, STDOUT_FILENO, false);

	if (cd != NULL)
		make_raw(cd, STDIN_FILENO, true);
	return (cd);
}

/* Whether nobody is at the other end of a pseudo terminal.  Lock held. */
static bool
is_left(struct chardev *cd)
{
	char buf[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	const struct inotify_event *e;
	ssize_t len;

	if (cd->opens < 0)
		return (false);
	while ((len = read(cd->opens, buf, sizeof(buf))) > 0) {
		for (const char *p = buf; p < buf + len; p += sizeof(*e) + e->len) {
			e = (const struct inotify_event *)(const void *)p;
			if ((e->mask & IN_OPEN) != 0)
				cd->nopen++;
			else if ((e->mask & IN_CLOSE) != 0)
				cd->nopen -= cd->nopen != 0;
			else if ((e->mask & IN_ACCESS) != 0 && cd->nopen == 0)
				cd->nopen = 1;	/* it was open before this was */
		}
	}
	return (cd->nopen == 0);
}

/* Who left makes room of a kind.  Control thread. */
static void
opens_changed(void *arg, unsigned what)
{
	struct chardev *cd = arg;
	bool writable;

	pthread_mutex_lock(&cd->lock);
	writable = is_left(cd) && cd->want_write;
	pthread_mutex_unlock(&cd->lock);
	if (cd->fn != NULL && writable)
		cd->fn(cd->arg, false, true);
}

/* If it is a pseudo terminal's master, learn who opens the other end from now on. */
static void
watch_opens(struct chardev *cd)
{
	char path[32];
	unsigned n;

	if (ioctl(cd->in, TIOCGPTN, &n) != 0)
		return;
	(void)snprintf(path, sizeof(path), "/dev/pts/%u", n);
	cd->opens = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (cd->opens < 0)
		return;
	cd->opens_ev = inotify_add_watch(cd->opens, path, IN_OPEN | IN_CLOSE | IN_ACCESS) < 0 ? NULL :
	    event_fd_add(cd->loop, cd->opens, EVENT_READ, opens_changed, cd);
	if (cd->opens_ev == NULL) {
		close(cd->opens);
		cd->opens = -1;
	}
}

/* "fd:N" */
static struct chardev *
open_fd(struct event_loop *loop, const char *number)
{
	struct chardev *cd;
	char *end;
	long n = strtol(number, &end, 10);
	int fd;

	if (*number < '0' || *number > '9' || *end != '\0' || n > INT_MAX)
		return (vmm_fail_null(EINVAL, "character device: 'fd:%.32s' names no descriptor", number));
	fd = fcntl((int)n, F_DUPFD_CLOEXEC, 0);
	if (fd < 0) {
		(void)vmm_fail_sys(errno, "character device: descriptor %ld", n);
		return (NULL);
	}
	cd = chardev_open_fds(loop, fd, fd, true);
	if (cd == NULL) {
		close(fd);
		return (NULL);
	}
	make_raw(cd, fd, false);
	watch_opens(cd);
	return (cd);
}

struct chardev *
chardev_open(struct event_loop *loop, const char *what)
{
	struct chardev *cd;
	int fd;

	if (strcmp(what, "null") == 0)
		return (chardev_open_null());
	if (strcmp(what, "stdio") == 0)
		return (chardev_open_stdio(loop));
	if (strncmp(what, "fd:", 3) == 0)
		return (open_fd(loop, what + 3));
	if (*what == '\0')
		return (vmm_fail_null(EINVAL, "character device: no path"));
	fd = open(what, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (fd < 0) {
		(void)vmm_fail_sys(errno, "cannot open '%s'", what);
		return (NULL);
	}
	cd = chardev_open_fds(loop, fd, fd, true);
	if (cd == NULL)
		close(fd);
	else
		make_raw(cd, fd, false);
	return (cd);
}

void
chardev_close(struct chardev *cd)
{
	if (cd == NULL)
		return;
	chardev_want(cd, false, false);
	event_remove(cd->in_ev);
	if (cd->out_ev != cd->in_ev)
		event_remove(cd->out_ev);
	event_remove(cd->opens_ev);
	if (cd->is_socket)
		send_ring(cd);
	if (cd->tty >= 0)
		(void)tcsetattr(cd->tty, TCSANOW, &cd->cooked);
	if (cd->kind == CHARDEV_RING)
		event_drain(cd->loop);	/* a posted call still knows cd */
	if (cd->owned) {
		if (cd->in >= 0)
			close(cd->in);
		if (cd->out >= 0 && cd->out != cd->in)
			close(cd->out);
	}
	if (cd->opens >= 0)
		close(cd->opens);
	free(cd->to_user.buf);
	free(cd->from_user.buf);
	pthread_mutex_destroy(&cd->lock);
	free(cd);
}

void
chardev_set_user(struct chardev *cd, chardev_fn *fn, void *arg)
{
	pthread_mutex_lock(&cd->lock);
	cd->fn = fn;
	cd->arg = arg;
	pthread_mutex_unlock(&cd->lock);
}

static void ring_call(void *arg);

/* What the user waits for and could have.  Lock held. */
static void
ring_ready(const struct chardev *cd, bool *readable, bool *writable)
{
	*readable = cd->want_read && cd->to_user.used != 0;
	*writable = cd->want_write && cd->from_user.used < cd->from_user.size;
}

/* Lock held. */
static void
ring_post(struct chardev *cd)
{
	bool readable, writable;

	ring_ready(cd, &readable, &writable);
	if ((readable || writable) && !cd->posted)
		cd->posted = event_post(cd->loop, ring_call, cd) == 0;
}

static void
ring_call(void *arg)
{
	struct chardev *cd = arg;
	bool readable, writable;

	pthread_mutex_lock(&cd->lock);
	cd->posted = false;
	ring_ready(cd, &readable, &writable);
	pthread_mutex_unlock(&cd->lock);
	if (cd->fn != NULL && (readable || writable)) {
		cd->fn(cd->arg, readable, writable);
		pthread_mutex_lock(&cd->lock);
		ring_post(cd);
		pthread_mutex_unlock(&cd->lock);
	}
}

size_t
chardev_ring_put(struct chardev *cd, const void *buf, size_t len)
{
	size_t n;

	pthread_mutex_lock(&cd->lock);
	n = ring_put(&cd->to_user, buf, len);
	ring_post(cd);
	pthread_mutex_unlock(&cd->lock);
	return (n);
}

size_t
chardev_ring_get(struct chardev *cd, void *buf, size_t len)
{
	size_t n;

	pthread_mutex_lock(&cd->lock);
	n = ring_get(&cd->from_user, buf, len);
	ring_post(cd);
	pthread_mutex_unlock(&cd->lock);
	return (n);
}

static bool
fd_can(int fd, short what)
{
	struct pollfd p = { .fd = fd, .events = what };

	return (poll(&p, 1, 0) == 1);
}

/* Lock held. */
static size_t
read_fd(struct chardev *cd, void *buf, size_t len)
{
	ssize_t n;

	if (cd->eof || len == 0 || !fd_can(cd->in, POLLIN))
		return (0);
	n = read(cd->in, buf, len);
	if (n > 0)
		return ((size_t)n);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return (0);
	cd->eof = true;
	watch_fds(cd);
	return (0);
}

/* Lock held. */
static size_t
write_fd(struct chardev *cd, const uint8_t *p, size_t len)
{
	size_t done = 0, chunk;
	ssize_t n;

	if (cd->is_socket) {
		/* Not all that it would take: at the close there is room for what waits. */
		if (cd->from_user.used == 0 && fd_can(cd->out, POLLOUT))
			done = send_some(cd, p, len);
		done += ring_put(&cd->from_user, p + done, len - done);
		if (done < len && fd_can(cd->out, POLLOUT)) {
			send_ring(cd);
			done += ring_put(&cd->from_user, p + done, len - done);
		}
		if (cd->from_user.used != 0)
			watch_fds(cd);
		return (done);
	}
	while (done < len && !cd->broken && fd_can(cd->out, POLLOUT)) {
		chunk = len - done;
		n = write(cd->out, p + done, chunk < cd->chunk ? chunk : cd->chunk);
		if (n > 0)
			done += (size_t)n;
		else if (n < 0 && (errno == EAGAIN || errno == EINTR))
			break;
		else
			cd->broken = true;
	}
	return (cd->broken || (done < len && is_left(cd)) ? len : done);
}

size_t
chardev_read(struct chardev *cd, void *buf, size_t len)
{
	size_t n = 0;

	pthread_mutex_lock(&cd->lock);
	if (cd->kind == CHARDEV_FDS)
		n = read_fd(cd, buf, len);
	else if (cd->kind == CHARDEV_RING)
		n = ring_get(&cd->to_user, buf, len);
	pthread_mutex_unlock(&cd->lock);
	return (n);
}

size_t
chardev_write(struct chardev *cd, const void *buf, size_t len)
{
	size_t n = len;

	pthread_mutex_lock(&cd->lock);
	if (cd->kind == CHARDEV_FDS)
		n = write_fd(cd, buf, len);
	else if (cd->kind == CHARDEV_RING)
		n = ring_put(&cd->from_user, buf, len);
	pthread_mutex_unlock(&cd->lock);
	return (n);
}

void
chardev_want(struct chardev *cd, bool readable, bool writable)
{
	pthread_mutex_lock(&cd->lock);
	if (cd->want_read != readable || cd->want_write != writable) {
		cd->want_read = readable;
		cd->want_write = writable;
		if (cd->kind == CHARDEV_FDS)
			watch_fds(cd);
		else if (cd->kind == CHARDEV_RING)
			ring_post(cd);
	}
	pthread_mutex_unlock(&cd->lock);
}

bool
chardev_eof(struct chardev *cd)
{
	bool eof;

	pthread_mutex_lock(&cd->lock);
	eof = cd->eof;
	pthread_mutex_unlock(&cd->lock);
	return (eof);
}
