/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * qmp_client.h - a client of a control socket, for commands that ask one thing and wait.
 *
 * A client is one thread's at a time.  Times are limits in milliseconds.  What fails says so in vmm_errmsg().
 */
#ifndef _HYVE_QMP_CLIENT_H_
#define	_HYVE_QMP_CLIENT_H_

#include <jansson.h>

struct qmp_client;

#define	QMP_ANSWER_MAX	(16U << 20)	/* bytes of a message that a client takes */

/*
 * Connect to the server at path, read its greeting and negotiate.  NULL with a sentence.
 *
 * Errors: ENOENT, ECONNREFUSED (nobody answers there), EACCES, ENAMETOOLONG, ETIMEDOUT, EPROTO (whoever is there does not speak QMP, or
 * refuses; the sentence has its words), ECONNRESET.
 */
struct qmp_client *qmp_client_open(const char *path, unsigned timeout_ms);
/* The same on a connected socket, which becomes the client's in any case; what it is called in sentences. */
struct qmp_client *qmp_client_open_fd(int fd, const char *what, unsigned timeout_ms);
/* Hang up.  NULL is ignored. */
void	qmp_client_close(struct qmp_client *c);

/* The server's greeting: the object behind "QMP".  Borrowed. */
const json_t *qmp_client_greeting(const struct qmp_client *c);

/*
 * Execute a command; args, an object or NULL, is taken.  The answer is a new reference, an empty object if there is none.  Events that come
 * meanwhile are kept for qmp_client_event().
 *
 * Errors: EREMOTEIO (the server refused; vmm_errmsg() is its sentence, qmp_client_class() the class), ETIMEDOUT, ECONNRESET (the server is
 * gone), EPROTO.  After all but EREMOTEIO the connection is of no use any more.
 */
json_t	*qmp_client_execute(struct qmp_client *c, const char *command, json_t *args, unsigned timeout_ms);
/* The class of the last EREMOTEIO, "GenericError" for most.  Valid until the next call. */
const char *qmp_client_class(const struct qmp_client *c);

/*
 * Wait for the next event of a name, NULL for any: the whole message, a new reference.  Events of other names are dropped.
 *
 * Errors: ETIMEDOUT, ECONNRESET (the server is gone), EPROTO.
 */
json_t	*qmp_client_event(struct qmp_client *c, const char *name, unsigned timeout_ms);

/* The connection's descriptor, for who waits for several things: readable when something came.  The client's. */
int	qmp_client_fd(const struct qmp_client *c);

#endif /* _HYVE_QMP_CLIENT_H_ */
