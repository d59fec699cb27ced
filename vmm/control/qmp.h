/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * qmp.h - the control socket: QMP's wire format and names over a UNIX stream socket.
 *
 * A server belongs to one VM's owner and outlives the machine's resets: between two of them its clients wait.  It lives on the event loop
 * and never waits for a client.  What a client may ask is in tables (qmp_table.h), from which come the checks of arguments,
 * query-qmp-schema and the manual.
 *
 * Every function is the control thread's.
 */
#ifndef _HYVE_QMP_H_
#define	_HYVE_QMP_H_

#include <stdbool.h>

#include <jansson.h>

#include "../device.h"

struct machine;
struct qmp;

#define	QMP_REQUEST_MAX	(1U << 20)	/* bytes of a request */
#define	QMP_QUEUE_MAX	(1U << 20)	/* bytes that wait for a client to read them; one event more and it is hung up on */
#define	QMP_PEERS_MAX	32		/* clients at once */

/*
 * Make a server without a socket.  vmm has loop and config, and both it and machine, which is what m->vmm runs when vmm->vm is there, stay
 * until qmp_free().  machine may be NULL: then there is no power button.  NULL with a sentence.
 */
struct qmp *qmp_new(struct vmm *vmm, struct machine *machine);
/*
 * Listen at path, for this user alone: mode 0600 whatever the umask is.  A socket there that nobody answers at is replaced.
 *
 * Errors: EADDRINUSE (somebody answers; the sentence says who), EEXIST (what is there is no socket), ENAMETOOLONG, those of bind(2).
 */
int	qmp_listen(struct qmp *q, const char *path);
/*
 * Take a connected stream socket as a client, whoever is at its other end.  It becomes the server's, in any case.  -1 with a sentence.
 */
int	qmp_add_peer(struct qmp *q, int fd);
/* Hang up on all clients, after what they were told if they read it at once, and remove the socket.  NULL is ignored. */
void	qmp_free(struct qmp *q);

/*
 * Tell every client that has negotiated.  data is taken; NULL: none.  The name is one of the tables.
 */
void	qmp_event(struct qmp *q, const char *name, json_t *data);

/*
 * A life of the machine is over, for this reason; again: it is powered on anew.  Clients are told by RESET or SHUTDOWN.  host is the cause
 * in QMP's words ("host-signal", "host-ui") if it was somebody here who is no client, else NULL.
 */
void	qmp_ended(struct qmp *q, enum vm_suspend_how how, bool again, const char *host);
/* Whether a client wants the VM's process to end: there is no other life then, whatever the last one's end was. */
bool	qmp_quitting(const struct qmp *q);

#endif /* _HYVE_QMP_H_ */
