/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * local_socket.h - UNIX sockets that a VM listens at for its owner alone (unix(7)).
 */
#ifndef _HYVE_LOCAL_SOCKET_H_
#define	_HYVE_LOCAL_SOCKET_H_

#include <sys/types.h>

#include <stdbool.h>

/* fd < 0: there is none, and nothing else means anything. */
struct local_socket {
	int		 fd;		/* does not block */
	char		*path;
	dev_t		 dev;		/* of the file that was made */
	ino_t		 ino;
};

/*
 * Listen at path, with a socket of that type (SOCK_STREAM, SOCK_SEQPACKET) whose file has mode 0600 whatever the umask, in place of one that
 * nobody answers at any more.  who begins the sentences: the key, say.  Waits for a second at most, for others who do the same in that folder.
 *
 * -1 with a sentence, and s->fd -1.  Errors: EINVAL (no path), ENAMETOOLONG, EEXIST (there is something else than a socket), EADDRINUSE
 * (somebody answers; the sentence tells the process), ENOMEM, and those of socket(2), bind(2) and unlink(2).  Any thread.
 */
int	local_socket_open(struct local_socket *s, const char *who, int type, const char *path);
/* Close it, and remove its file unless somebody has put another one there. */
void	local_socket_close(struct local_socket *s);
/* Whether the process at the other end of fd is the owner's, or root's: the file's mode keeps others out, should nobody have changed that. */
bool	local_socket_is_owner(int fd);

#endif /* _HYVE_LOCAL_SOCKET_H_ */
