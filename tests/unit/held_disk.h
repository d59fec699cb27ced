/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * held_disk.h - an image that counts its requests, waits when the test wants it to, and fails when it is to, for tests of commands under way.
 * Disks get it by the linker (--wrap=block_open_keys).
 */
#ifndef _HELD_DISK_H_
#define	_HELD_DISK_H_

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "block/block.h"
#include "config/config.h"
#include "test.h"

#define	SECTORS		2048U		/* of the image */

static struct {
	pthread_mutex_t	 lock;
	pthread_cond_t	 change;
	bool		 held;		/* requests wait */
	unsigned	 waiting;
	unsigned	 reads, writes, flushes, zeroes, unmaps, discards;
	int		 error;		/* of everything */
	int		 flush_error;
	bool		 closed;
	uint8_t		 data[SECTORS * 512];
} disk = { .lock = PTHREAD_MUTEX_INITIALIZER, .change = PTHREAD_COND_INITIALIZER };

/* Count, and wait while requests are held; the error to give. */
static int
enter(unsigned *counter)
{
	int error;

	pthread_mutex_lock(&disk.lock);
	++*counter;
	disk.waiting++;
	pthread_cond_broadcast(&disk.change);
	while (disk.held)
		pthread_cond_wait(&disk.change, &disk.lock);
	disk.waiting--;
	error = disk.error;
	pthread_mutex_unlock(&disk.lock);
	return (error);
}

static int
d_readv(void *priv, const struct iovec *iov, int niov, uint64_t off)
{
	int error = enter(&disk.reads);

	for (int i = 0; i < niov && error == 0; i++) {
		memcpy(iov[i].iov_base, disk.data + off, iov[i].iov_len);
		off += iov[i].iov_len;
	}
	return (error);
}

static int
d_writev(void *priv, const struct iovec *iov, int niov, uint64_t off)
{
	return (enter(&disk.writes));
}

static int
d_flush(void *priv)
{
	int error = enter(&disk.flushes);

	return (error != 0 ? error : disk.flush_error);
}

static int
d_discard(void *priv, uint64_t off, uint64_t len)
{
	return (enter(&disk.discards));
}

static int
d_zero(void *priv, uint64_t off, uint64_t len, bool unmap)
{
	disk.unmaps += unmap;
	return (enter(&disk.zeroes));
}

static void
d_close(void *priv)
{
	disk.closed = true;
}

static const struct block_driver driver = {
	.name = "held", .readv = d_readv, .writev = d_writev, .flush = d_flush, .discard = d_discard, .zero = d_zero, .close = d_close,
};

struct block *__wrap_block_open_keys(struct device *who, struct config_node *node, bool readonly);

struct block *
__wrap_block_open_keys(struct device *who, struct config_node *node, bool readonly)
{
	return (block_open_driver(&driver, NULL, sizeof(disk.data), readonly || config_bool(node, "ro")));
}

static void
hold(bool on)
{
	pthread_mutex_lock(&disk.lock);
	disk.held = on;
	pthread_cond_broadcast(&disk.change);
	pthread_mutex_unlock(&disk.lock);
}

/* Wait until so many requests wait in the image. */
static void
wait_held(unsigned n)
{
	pthread_mutex_lock(&disk.lock);
	while (disk.waiting != n)
		pthread_cond_wait(&disk.change, &disk.lock);
	pthread_mutex_unlock(&disk.lock);
}

/* Let go after a while what somebody is about to wait for. */
static void *
release_soon(void *arg)
{
	usleep(30000);
	hold(false);
	return (NULL);
}

static pthread_t
release_later(void)
{
	pthread_t t;

	CHECK_EQ(pthread_create(&t, NULL, release_soon, NULL), 0);
	return (t);
}

#endif /* _HELD_DISK_H_ */
