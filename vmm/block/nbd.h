/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * nbd.h - disks on NBD servers: between nbd.c, which has the rules of storage, and the module that has libnbd (nbd_client.c).
 */
#ifndef _HYVE_BLOCK_NBD_H_
#define	_HYVE_BLOCK_NBD_H_

#include "../module.h"
#include "block.h"

struct nbd_disk;

/* What is asked for; strings are needed for the call only. */
struct nbd_options {
	const char	*uri;
	unsigned	 timeout;	/* seconds in which a server connects, and in which it answers a request; not 0 */
	unsigned	 reconnect_delay;	/* seconds for which requests wait for a server that is gone */
	bool		 writes;	/* there may be other requests than reads */
	void		(*tell)(void *arg, const char *what);	/* what became of the connection; on the module's thread */
	void		*arg;
};

/* What the server says of its export.  None of it changes while the disk is open: a server that comes back with another one is refused. */
struct nbd_export {
	uint64_t	 size;		/* bytes */
	uint32_t	 min, max;	/* bytes of a request; 0: the server does not say */
	bool		 readonly, flush, trim, zero;
	bool		 multi;		/* a flush of one connection is one of all */
};

enum nbd_op {
	NBD_READ,
	NBD_WRITE,
	NBD_FLUSH,
	NBD_TRIM,
	NBD_ZERO,		/* may lose its storage */
	NBD_ZERO_KEEP,		/* keeps it */
};

/* What hyve-block-nbd.so exports as hyve_block_nbd. */
struct nbd_module {
	struct module_head head;
	/* Connect.  Waits for the server for the time that o says.  NULL with a sentence that does not say which disk.  Control thread. */
	struct nbd_disk	*(*open)(const struct module_host *host, const struct nbd_options *o, struct nbd_export *e);
	/*
	 * Execute a request of at most 64 MiB of data, within the export and of whole blocks; buf is the caller's again when it returns.
	 * 0 or an errno: ENOTSUP if the server does not do that; EIO where it was gone for too long, but ETIMEDOUT of a flush
	 * if what it is about is kept, so that a later one may bring it to safety.  Any thread.
	 */
	int		(*request)(struct nbd_disk *d, enum nbd_op op, void *buf, uint64_t off, size_t len);
	/* No request is under way.  Says farewell to the server, and waits a second for that at most.  What may be lost is told. */
	void		(*close)(struct nbd_disk *d);
};

#endif /* _HYVE_BLOCK_NBD_H_ */
