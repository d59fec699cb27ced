/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * nbd_server.h - a small NBD server (doc/proto.md of the NBD project: fixed newstyle handshake, simple replies) that does wrong what a
 * test wants it to, and whose cache is lost when it is started anew: only what was flushed before is there then.
 */
#ifndef _NBD_SERVER_H_
#define	_NBD_SERVER_H_

#include <sys/socket.h>
#include <sys/un.h>

#include <endian.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>

#include "test.h"

#define	NS_SIZE		(1U << 20)

/* Flags of an export */
#define	NS_HAS_FLAGS	0x001U
#define	NS_READ_ONLY	0x002U
#define	NS_FLUSH	0x004U
#define	NS_TRIM		0x020U
#define	NS_ZEROES	0x040U
#define	NS_MULTI	0x100U

/* Types of requests, as bits. */
#define	NS_WRITE_BIT	0x02U
#define	NS_FLUSH_BIT	0x08U
#define	NS_ALL_BITS	0xffU

/* Where it closes the connection. */
enum ns_point {
	NS_NEVER, NS_ACCEPT, NS_MAGIC, NS_CLIENT_FLAGS, NS_OPTION, NS_HALF_OPTION, NS_INFO,
	NS_REQUEST, NS_PAYLOAD, NS_HALF_REPLY, NS_HALF_DATA,
};

static struct ns {
	pthread_mutex_t	 lock;
	int		 listener;
	pthread_t	 thread;
	char		 path[64];
	/* What it says and does; the test changes it at any time. */
	_Atomic uint64_t size;
	_Atomic uint32_t flags, min, max;
	_Atomic uint64_t magic, cookie_error;
	_Atomic uint32_t reply_magic;
	_Atomic enum ns_point closes;
	atomic_bool	 silent;	/* says nothing from the beginning */
	atomic_bool	 refuses;	/* the export */
	atomic_uint	 limit;		/* requests after which a connection ends; 0: none */
	atomic_uint	 fails;		/* the write that is so many from now on fails; 0: none */
	atomic_uint	 hold;		/* bits of types (NS_WRITE_BIT...): such requests are not begun before this changes */
	atomic_uint	 eager;		/* so many are answered only when the next one is there */
	/* What became of it. */
	atomic_uint	 connections, requests, flushes, writes, crashes, held;
	uint8_t		 cache[NS_SIZE], disk[NS_SIZE];
	int		 open[64];
	unsigned	 nopen;
} ns = { .lock = PTHREAD_MUTEX_INITIALIZER };

static bool
ns_get(int fd, void *buf, size_t len)
{
	return (recv(fd, buf, len, MSG_WAITALL) == (ssize_t)len);
}

static bool
ns_put(int fd, const void *buf, size_t len)
{
	return (send(fd, buf, len, MSG_NOSIGNAL) == (ssize_t)len);
}

static bool
ns_option_reply(int fd, uint32_t option, uint32_t type, const void *data, uint32_t len)
{
	struct { uint64_t magic; uint32_t option, type, len; } __attribute__((packed)) r = {
		htobe64(0x3e889045565a9ULL), htobe32(option), htobe32(type), htobe32(len),
	};

	if (ns.closes == NS_HALF_OPTION) {
		(void)ns_put(fd, &r, sizeof(r) / 2);
		return (false);
	}
	return (ns_put(fd, &r, sizeof(r)) && ns_put(fd, data, len));
}

static bool
ns_go(int fd)
{
	struct { uint16_t type; uint64_t size; uint16_t flags; } __attribute__((packed)) export = {
		0, htobe64(ns.size), htobe16((uint16_t)ns.flags),
	};
	struct { uint16_t type; uint32_t min, preferred, max; } __attribute__((packed)) block = {
		htobe16(3), htobe32(ns.min), htobe32(ns.min > 4096 ? ns.min : 4096), htobe32(ns.max),
	};

	if (ns.closes == NS_INFO || !ns_option_reply(fd, 7, 3, &export, sizeof(export)))
		return (false);
	if (ns.min != 0 && !ns_option_reply(fd, 7, 3, &block, sizeof(block)))
		return (false);
	return (ns_option_reply(fd, 7, 1, NULL, 0));
}

/* Whether the client is in the export. */
static bool
ns_handshake(int fd)
{
	struct { uint64_t magic, opt; uint16_t flags; } __attribute__((packed)) hello = {
		htobe64(ns.magic), htobe64(0x49484156454f5054ULL), htobe16(3),
	};
	struct { uint64_t magic; uint32_t option, len; } __attribute__((packed)) o;
	uint8_t data[4096];
	uint32_t flags;

	if (ns.closes == NS_ACCEPT || (ns.silent && ns_get(fd, data, 1)) || !ns_put(fd, &hello, sizeof(hello)) ||
	    ns.closes == NS_MAGIC || !ns_get(fd, &flags, sizeof(flags)) || ns.closes == NS_CLIENT_FLAGS)
		return (false);
	while (ns_get(fd, &o, sizeof(o))) {
		uint32_t option = be32toh(o.option), len = be32toh(o.len);
		bool ok = true;

		if (len > sizeof(data) || (len != 0 && !ns_get(fd, data, len)) || ns.closes == NS_OPTION)
			return (false);
		if (option == 7 && !ns.refuses)
			return (ns_go(fd));
		if (option == 7)
			ok = ns_option_reply(fd, 7, 0x80000006U, NULL, 0);
		else
			ok = ns_option_reply(fd, option, option == 2 ? 1 : 0x80000001U, NULL, 0);
		if (!ok || option == 2)
			return (false);
	}
	return (false);
}

/* Do what was asked for, and what to say: an error of the protocol. */
static uint32_t
ns_do(int fd, unsigned type, uint64_t off, uint32_t len, uint8_t *data, bool *ok)
{
	bool ranged = type != 3;
	uint32_t error = ranged && (off > NS_SIZE || len > NS_SIZE - off) ? 22 : 0;

	if (ns.min != 0 && ranged && (off % ns.min != 0 || len % ns.min != 0 || (type < 2 && len > ns.max)))
		error = 22;
	if (type == 1)
		*ok = len <= NS_SIZE && ns_get(fd, data, len) && ns.closes != NS_PAYLOAD;
	if (*ok && error == 0 && type == 1 && ns.fails != 0 && --ns.fails == 0)
		error = 5;
	if (!*ok || error != 0)
		return (error);
	if (type == 0)
		memcpy(data, ns.cache + off, len);
	else if (type == 1)
		memcpy(ns.cache + off, data, len);
	else if (type == 3)
		memcpy(ns.disk, ns.cache, NS_SIZE);
	else if (type == 6)
		memset(ns.cache + off, 0, len);
	ns.writes += type == 1;
	ns.flushes += type == 3;
	return (0);
}

static void
ns_wait_for_test(unsigned type)
{
	ns.held += (ns.hold >> type & 1) != 0;
	while ((ns.hold >> type & 1) != 0)
		usleep(1000);
}

static void
ns_wait_for_client(int fd)
{
	struct pollfd more = { .fd = fd, .events = POLLIN };

	if (ns.eager != 0) {
		ns.eager--;
		(void)poll(&more, 1, -1);
	}
}

static void
ns_requests(int fd)
{
	struct { uint32_t magic; uint16_t flags, type; uint64_t cookie, off; uint32_t len; } __attribute__((packed)) q;
	struct { uint32_t magic, error; uint64_t cookie; } __attribute__((packed)) r;
	uint8_t *data = malloc(NS_SIZE);
	unsigned n = 0, crashes = ns.crashes;
	bool ok = true;

	CHECK(data != NULL);
	while (ok && ns_get(fd, &q, sizeof(q)) && be16toh(q.type) != 2) {
		uint32_t len = be32toh(q.len);

		ns_wait_for_test(be16toh(q.type));
		pthread_mutex_lock(&ns.lock);
		ns.requests++;
		if (ns.crashes != crashes) {
			pthread_mutex_unlock(&ns.lock);
			break;
		}
		r.error = htobe32(ns_do(fd, be16toh(q.type), be64toh(q.off), len, data, &ok));
		ok = ok && ns.closes != NS_REQUEST && (ns.limit == 0 || ++n < ns.limit);
		pthread_mutex_unlock(&ns.lock);
		ns_wait_for_client(fd);
		r.magic = htobe32(ns.reply_magic);
		r.cookie = q.cookie ^ ns.cookie_error;
		if (ok)
			ok = ns_put(fd, &r, ns.closes == NS_HALF_REPLY ? sizeof(r) / 2 : sizeof(r)) && ns.closes != NS_HALF_REPLY;
		if (ok && q.type == 0 && r.error == 0)
			ok = ns_put(fd, data, ns.closes == NS_HALF_DATA ? len / 2 : len) && ns.closes != NS_HALF_DATA;
	}
	free(data);
}

static void *
ns_client(void *arg)
{
	int fd = (int)(intptr_t)arg;

	if (ns_handshake(fd))
		ns_requests(fd);
	pthread_mutex_lock(&ns.lock);
	for (unsigned i = 0; i < ns.nopen; i++)
		if (ns.open[i] == fd)
			ns.open[i] = ns.open[--ns.nopen];
	pthread_mutex_unlock(&ns.lock);
	close(fd);
	return (NULL);
}

static void *
ns_accept(void *arg)
{
	pthread_t t;
	int fd;

	while ((fd = accept(ns.listener, NULL, NULL)) >= 0) {
		pthread_mutex_lock(&ns.lock);
		ns.connections++;
		CHECK(ns.nopen < 64);
		ns.open[ns.nopen++] = fd;
		pthread_mutex_unlock(&ns.lock);
		CHECK_EQ(pthread_create(&t, NULL, ns_client, (void *)(intptr_t)fd), 0);
		CHECK_EQ(pthread_detach(t), 0);
	}
	return (NULL);
}

static void
ns_start(const char *path)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };

	snprintf(ns.path, sizeof(ns.path), "%s", path);
	snprintf(to.sun_path, sizeof(to.sun_path), "%s", path);
	ns.size = NS_SIZE;
	ns.flags = NS_HAS_FLAGS | NS_FLUSH | NS_TRIM | NS_ZEROES;
	ns.magic = 0x4e42444d41474943ULL;
	ns.reply_magic = 0x67446698U;
	ns.listener = socket(AF_UNIX, SOCK_STREAM, 0);
	CHECK(ns.listener >= 0);
	CHECK_EQ(bind(ns.listener, (struct sockaddr *)&to, sizeof(to)), 0);
	CHECK_EQ(listen(ns.listener, 16), 0);
	CHECK_EQ(pthread_create(&ns.thread, NULL, ns_accept, NULL), 0);
}

/* All connections end. */
static void
ns_cut(void)
{
	pthread_mutex_lock(&ns.lock);
	for (unsigned i = 0; i < ns.nopen; i++)
		(void)shutdown(ns.open[i], SHUT_RDWR);
	pthread_mutex_unlock(&ns.lock);
	for (unsigned n = 1; n != 0;) {
		pthread_mutex_lock(&ns.lock);
		n = ns.nopen;
		pthread_mutex_unlock(&ns.lock);
		usleep(1000);
	}
}

/* It loses power: what was not flushed is gone, and so are all connections. */
static void
ns_crash(void)
{
	pthread_mutex_lock(&ns.lock);
	memcpy(ns.cache, ns.disk, NS_SIZE);
	ns.crashes++;
	for (unsigned i = 0; i < ns.nopen; i++)
		(void)shutdown(ns.open[i], SHUT_RDWR);
	pthread_mutex_unlock(&ns.lock);
}

static void
ns_stop(void)
{
	(void)shutdown(ns.listener, SHUT_RDWR);
	CHECK_EQ(pthread_join(ns.thread, NULL), 0);
	ns_cut();
	close(ns.listener);
	unlink(ns.path);
}

#endif /* _NBD_SERVER_H_ */
