/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * local_socket.c - UNIX sockets that are made for their owner alone, in place of ones that nobody answers at.
 */
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "error.h"
#include "local_socket.h"

#define	BACKLOG		16
#define	LOCK_TRIES	50		/* of 20 ms each */

static int
set_address(struct sockaddr_un *addr, const char *who, const char *path)
{
	if (path[0] == '\0')
		return (vmm_fail(EINVAL, "%s: a socket needs a path", who));
	if (strlen(path) >= sizeof(addr->sun_path))
		return (vmm_fail(ENAMETOOLONG, "%s: '%s' is too long for a socket's path, which has at most %zu bytes", who, path,
		    sizeof(addr->sun_path) - 1));
	*addr = (struct sockaddr_un){ .sun_family = AF_UNIX };
	memcpy(addr->sun_path, path, strlen(path));
	return (0);
}

/*
 * Two that start at once must not both find the same dead socket, and the second remove what the first made: the folder is locked
 * meanwhile.  In a folder that others can read they can keep us from that, so it is not waited for longer than a second.
 */
static int
lock_folder(const char *path)
{
	static const struct timespec pause = { .tv_nsec = 20000000 };
	const char *slash = strrchr(path, '/');
	char *folder = slash == NULL ? strdup(".") : slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
	int fd = folder != NULL ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

	free(folder);
	for (int i = 0; fd >= 0 && i < LOCK_TRIES && flock(fd, LOCK_EX | LOCK_NB) != 0; i++)
		(void)nanosleep(&pause, NULL);
	return (fd);
}

/* Remove a socket that is left over from someone who died.  -1 with a sentence if what is there is none. */
static int
remove_stale(const struct sockaddr_un *addr, const char *who, int type)
{
	struct ucred peer = { 0 };
	socklen_t len = sizeof(peer);
	struct stat st;
	int fd, error;

	if (lstat(addr->sun_path, &st) != 0)
		return (0);		/* bind() says what is wrong, if anything is */
	if (!S_ISSOCK(st.st_mode))
		return (vmm_fail(EEXIST, "%s: '%s' is there already and is no socket; choose another path or remove it", who, addr->sun_path));
	fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return (vmm_fail_sys(errno, "%s", who));
	/* EAGAIN: its queue of clients is full, which a live one's can be. */
	error = connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) == 0 ? 0 : errno;
	if (error == 0)
		(void)getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len);
	close(fd);
	if (error == 0)
		return (vmm_fail(EADDRINUSE, "%s: process %d answers at '%s' already", who, (int)peer.pid, addr->sun_path));
	if (error != ECONNREFUSED)
		return (vmm_fail_sys(error == EAGAIN ? EADDRINUSE : error, "%s: somebody else may be at '%s'", who, addr->sun_path));
	if (unlink(addr->sun_path) != 0 && errno != ENOENT)
		return (vmm_fail_sys(errno, "%s: cannot remove '%s', where nobody answers any more", who, addr->sun_path));
	return (0);
}

static int
bind_and_listen(int fd, const char *who, const struct sockaddr_un *addr)
{
	/* Linux gives the file the mode that the socket has, less the umask: at no time is it wider than this. */
	if (fchmod(fd, S_IRUSR | S_IWUSR) != 0)
		return (vmm_fail_sys(errno, "%s", who));
	if (bind(fd, (const struct sockaddr *)addr, sizeof(*addr)) != 0)
		return (vmm_fail_sys(errno, "%s: cannot make the socket '%s'", who, addr->sun_path));
	/* And an umask that takes the owner's rights is undone. */
	if (chmod(addr->sun_path, S_IRUSR | S_IWUSR) != 0 || listen(fd, BACKLOG) != 0) {
		(void)vmm_fail_sys(errno, "%s: cannot listen at '%s'", who, addr->sun_path);
		(void)unlink(addr->sun_path);
		return (-1);
	}
	return (0);
}

int
local_socket_open(struct local_socket *s, const char *who, int type, const char *path)
{
	struct sockaddr_un addr;
	struct stat st;
	int lock, r;

	s->fd = -1;
	if (set_address(&addr, who, path) != 0)
		return (-1);
	s->path = strdup(path);
	if (s->path == NULL)
		return (vmm_fail(ENOMEM, "%s: no memory", who));
	s->fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	r = s->fd >= 0 ? 0 : vmm_fail_sys(errno, "%s", who);
	if (r == 0) {
		lock = lock_folder(path);
		r = remove_stale(&addr, who, type) == 0 ? bind_and_listen(s->fd, who, &addr) : -1;
		if (lock >= 0)
			close(lock);
	}
	if (r == 0 && lstat(path, &st) == 0) {
		s->dev = st.st_dev;
		s->ino = st.st_ino;
		return (0);
	}
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
	free(s->path);
	s->path = NULL;
	return (r != 0 ? -1 : vmm_fail(ENOENT, "%s: '%s' was removed at once", who, path));
}

void
local_socket_close(struct local_socket *s)
{
	struct stat st;

	if (s->fd < 0)
		return;
	/* Somebody may have put another one there. */
	if (lstat(s->path, &st) == 0 && st.st_dev == s->dev && st.st_ino == s->ino)
		(void)unlink(s->path);
	close(s->fd);
	s->fd = -1;
	free(s->path);
	s->path = NULL;
}

bool
local_socket_is_owner(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	return (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 && (peer.uid == geteuid() || peer.uid == 0));
}
