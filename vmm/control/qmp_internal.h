/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * qmp_internal.h - the server's inside.
 */
#ifndef _HYVE_QMP_INTERNAL_H_
#define	_HYVE_QMP_INTERNAL_H_

#include <sys/types.h>

#include "../local_socket.h"
#include "qmp.h"
#include "qmp_stream.h"
#include "qmp_table.h"

/* A client. */
struct qmp_peer {
	struct qmp	*q;
	struct qmp_peer	*next;
	int		 fd;
	struct event	*ev;
	bool		 negotiated;
	bool		 ended;		/* it sends nothing any more */
	bool		 dead;		/* to be freed when no callback is under way */
	struct qmp_stream in;
	char		*rest;		/* bytes that were received, for later turns */
	size_t		 nrest, restat;
	char		*out;		/* bytes to be sent: out[outat] to out[outlen] */
	size_t		 outlen, outat, outsize;
};

struct qmp {
	struct vmm	*vmm;
	struct machine	*machine;
	struct local_socket socket;
	struct event	*listener;
	struct event	*again;		/* timer: accept again, after the host had no descriptors */
	struct qmp_peer	*peers;
	unsigned	 npeers;
	unsigned	 busy;		/* callbacks under way */
	bool		 stopped;	/* by stop: it holds the VM */
	bool		 quit;		/* a client has ended it */
	bool		 reset;		/* a client has asked for the reset that is under way */
};

extern const struct qmp_group qmp_group_server, qmp_group_run, qmp_group_query, qmp_group_devices, qmp_group_plug, qmp_group_stats,
    qmp_group_trace, qmp_group_net;

/* qmp_peer.c */
struct qmp_peer *qmp_peer_new(struct qmp *q, int fd);
/* Say a message; an event may find the queue full, which ends the client. */
void	qmp_peer_say(struct qmp_peer *p, const json_t *msg, bool event);
/* Send what the client takes at once. */
void	qmp_peer_flush(struct qmp_peer *p);
void	qmp_peer_free(struct qmp_peer *p);
/* Around callbacks: the clients that ended meanwhile are freed behind the last. */
void	qmp_enter(struct qmp *q);
void	qmp_leave(struct qmp *q);

/* qmp_dispatch.c: the greeting, and the answer to a request of len bytes.  A new reference; NULL without memory. */
json_t	*qmp_greeting(void);
json_t	*qmp_answer(struct qmp_peer *p, const char *text, size_t len);
/* An answer that is an error. */
json_t	*qmp_error(const char *class, const char *desc);

/* qmp_run.c: for vmm_watch_hold(). */
void	qmp_hold_changed(void *arg, bool held);

/*
 * qmp_devices.c: a list with an object for each disk and drive, which has its names ("device", "qdev") and what fn adds to info.  fn: 0, 1 to leave
 * it out, -1 for no memory.  A new reference; NULL without memory.
 */
typedef int qmp_disk_fn(json_t *info, struct device *dev, const struct device_disk *disk);
json_t	*qmp_each_disk(const struct qmp_call *call, qmp_disk_fn *fn);

/* qmp_plug.c: for struct vmm_plug. */
void	qmp_device_gone(void *arg, const char *id, const char *name);
void	qmp_device_kept(void *arg, const char *id, const char *name);

/* qmp_schema.c: the answer of query-qmp-schema. */
json_t	*qmp_schema(void);

#endif /* _HYVE_QMP_INTERNAL_H_ */
