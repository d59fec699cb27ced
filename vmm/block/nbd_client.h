/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * nbd_client.h - the inside of the module hyve-block-nbd.so: a disk's requests (nbd_client.c), its connections (nbd_conn.c), and
 * the writes that a server may still lose (nbd_log.c).
 */
#ifndef _HYVE_BLOCK_NBD_CLIENT_H_
#define	_HYVE_BLOCK_NBD_CLIENT_H_

#include <pthread.h>
#include <time.h>

#include <libnbd.h>

#include "nbd.h"

#define	CONNS		4U
#define	RETRY_MIN_MS	50U
#define	REPLAYS		16U		/* written again at a time */

struct conn;

struct request {
	enum nbd_op	 op;
	void		*buf;
	uint64_t	 off;
	size_t		 len;
	struct conn	*conn;		/* it was sent by */
	uint64_t	 begun, sent;
	uint64_t	 give_up;	/* 0: it did not lose a connection yet, or was forgiven that */
	uint64_t	 covers;	/* FLUSH: the log up to here */
	bool		 own;		/* nobody waits: the log's */
	int		 error;
	bool		 done;
	pthread_cond_t	 cond;
	struct request	*next;
};

struct kept;

/* Writes that no flush covers yet.  The thread's. */
struct nbd_log {
	struct kept	*first, **last;
	uint64_t	 number;	/* of the last one */
	uint64_t	 gap;		/* the last one that is missing; 0: none */
	size_t		 size;		/* bytes of memory */
	size_t		 coming;	/* the same, of writes that are under way */
	struct kept	*replay;	/* what is to be written again next */
	struct kept	*out[REPLAYS];	/* what is being written again */
	unsigned	 nout;
	bool		 on;
	bool		 broken;	/* something is lost: flushes fail */
	bool		 replaying, restart;
	bool		 flush_soon, flushing;
	struct request	 flush;		/* our own */
};

enum conn_state {
	CONN_NONE,		/* until retry_at */
	CONN_CONNECTING,
	CONN_GO,		/* the export was asked for */
	CONN_READY,
};

struct conn {
	struct nbd_disk	*d;
	struct nbd_handle *h;
	enum conn_state	 state;
	uint64_t	 since;		/* of CONNECTING and GO together */
	uint64_t	 retry_at;
	unsigned	 backoff;
	bool		 answered;	/* GO: the server did */
	bool		 bad;		/* it is to be closed */
	bool		 closing;
	struct request	*sent, *sending;
	unsigned	 nsent;
	char		 why[256];	/* it does not work */
};

enum phase { OPENING, OPEN, FAILED };

struct nbd_disk {
	const struct module_host *host;
	char		*uri;
	uint64_t	 timeout, delay;	/* ms */
	bool		 writes;		/* the disk is not read-only, whatever the export is */
	void		(*tell)(void *arg, const char *what);
	void		*arg;
	pthread_t	 thread;
	int		 wake;
	pthread_mutex_t	 lock;
	pthread_cond_t	 opened;
	struct request	*incoming;
	enum phase	 phase;
	bool		 ending;
	/* The thread's until it opened or failed, and constant then. */
	struct nbd_export e;
	int		 error;
	char		 why[512];
	/* The thread's. */
	struct conn	 conn[CONNS];
	unsigned	 nconns, nready;
	struct request	*todo;
	struct nbd_log	 log;
	/* The last connection, while there is none; while things are written again, the last sign of life. */
	uint64_t	 lost_at;
	bool		 told;		/* that requests fail */
	/* A request, or a flush, waited for as long as it may, and none was answered since: these are tried one at a time. */
	bool		 deaf, deaf_to_flushes;
	uint64_t	 flush_lost_at;
	bool		 refused;	/* who answers is another server, and that was told */
};

static inline uint64_t
now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return ((uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000);
}

/* nbd_client.c.  All of these are for the disk's thread. */

/* Tell the disk's log. */
void	disk_tell(struct nbd_disk *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The disk was opened, or will not be. */
void	disk_opened(struct nbd_disk *d);
void	disk_failed(struct nbd_disk *d, int error, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Take a request off its connection, which it has lost: it waits for another one.  One of the log's own is the log's to send again. */
void	request_lost(struct conn *c, struct request *r);

/* nbd_conn.c */

/* Begin, go on, or end, as things are. */
void	conn_advance(struct conn *c, uint64_t now);
/* When there is something to do though the server says nothing; UINT64_MAX: never. */
uint64_t conn_deadline(const struct conn *c, uint64_t now);
/* Keep what libnbd says of its last call, which failed, as the reason. */
void	conn_keep_error(struct conn *c);
bool	conn_is_dead(const struct conn *c);

/* nbd_log.c */

void	wlog_init(struct nbd_log *l, bool on);
void	wlog_free(struct nbd_log *l);
/* A request is about to be sent; it has an answer, before its caller knows; it lost its connection.  Also the log's own. */
void	wlog_sent(struct nbd_disk *d, struct request *r);
void	wlog_answered(struct nbd_disk *d, const struct request *r, int error);
void	wlog_lost(struct nbd_disk *d, const struct request *r);
/* There is a new connection.  Whether there is something to be written again before all else. */
bool	wlog_connected(struct nbd_disk *d);
/*
 * While d->log.replaying: what is to be sent now, of under_way requests that were sent.  NULL: something has to end first, or, where
 * d->log.replaying is false then, that was all.
 */
struct request *wlog_next(struct nbd_disk *d, unsigned under_way);
/* A flush that is to be sent because too much is kept; NULL: it is not. */
struct request *wlog_flush(struct nbd_disk *d);
/* Whether r is to wait, because more would be kept than may be. */
bool	wlog_full(const struct nbd_disk *d, const struct request *r);

#endif /* _HYVE_BLOCK_NBD_CLIENT_H_ */
