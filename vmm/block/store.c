/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * store.c - calls of storage, with the rules that hold for every driver.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../error.h"
#include "store.h"

#define	ZEROS	65536

struct store *
store_new(const struct block_driver *driver, void *priv, uint64_t size, bool readonly)
{
	struct store *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return (vmm_fail_null(ENOMEM, "disk: no memory"));
	s->driver = driver;
	s->priv = priv;
	s->size = size;
	s->readonly = readonly;
	pthread_mutex_init(&s->flush_lock, NULL);
	return (s);
}

void
store_close(struct store *s)
{
	if (s == NULL)
		return;
	s->driver->close(s->priv);
	pthread_mutex_destroy(&s->flush_lock);
	free(s);
}

int
store_readv(struct store *s, const struct iovec *iov, int niov, uint64_t off)
{
	return (s->driver->readv(s->priv, iov, niov, off));
}

int
store_writev(struct store *s, const struct iovec *iov, int niov, uint64_t off)
{
	return (s->driver->writev(s->priv, iov, niov, off));
}

int
store_read(struct store *s, void *buf, size_t len, uint64_t off)
{
	struct iovec iov = { .iov_base = buf, .iov_len = len };

	return (store_readv(s, &iov, 1, off));
}

int
store_write(struct store *s, const void *buf, size_t len, uint64_t off)
{
	struct iovec iov = { .iov_base = (void *)(uintptr_t)buf, .iov_len = len };

	return (store_writev(s, &iov, 1, off));
}

/*
 * A host that failed to write its cache back says so once, and forgets the data: a second flush would succeed, though what it
 * stands for is lost.  So one failure makes every later flush fail, and flushes do not overlap, as only one would be told.
 * Storage that keeps what was not flushed can say that it did (s->keeps), and a format that writes its tables again leaves it to its file.
 */
int
store_flush(struct store *s)
{
	int error;

	pthread_mutex_lock(&s->flush_lock);
	error = s->flush_error;
	if (error == 0) {
		error = s->driver->flush(s->priv);
		s->flush_error = s->retries || (error == ETIMEDOUT && s->keeps) ? 0 : error;
	}
	pthread_mutex_unlock(&s->flush_lock);
	return (error);
}

int
store_flush_error(struct store *s)
{
	return (store_flush_ended(s, 0));
}

int
store_flush_ended(struct store *s, int error)
{
	pthread_mutex_lock(&s->flush_lock);
	if (s->flush_error == 0)
		s->flush_error = error;
	error = s->flush_error;
	pthread_mutex_unlock(&s->flush_lock);
	return (error);
}

uint64_t
cursor_slice(const struct cursor *c, uint64_t max, struct iovec *part, int parts, int *n)
{
	size_t skip = c->skip;
	uint64_t len = 0;

	*n = 0;
	for (int i = 0; i < c->niov && *n < parts && len < max; i++, skip = 0) {
		size_t some = c->iov[i].iov_len - skip;

		if (some > max - len)
			some = (size_t)(max - len);
		if (some == 0)
			continue;
		part[(*n)++] = (struct iovec){ .iov_base = (char *)c->iov[i].iov_base + skip, .iov_len = some };
		len += some;
	}
	return (len);
}

void
cursor_advance(struct cursor *c, uint64_t len)
{
	c->skip += (size_t)len;
	while (c->niov > 0 && c->skip >= c->iov->iov_len) {
		c->skip -= c->iov->iov_len;
		c->iov++;
		c->niov--;
	}
}

int
store_discard(struct store *s, uint64_t off, uint64_t len)
{
	return (s->driver->discard != NULL ? s->driver->discard(s->priv, off, len) : 0);
}

static int
write_zeros(struct store *s, uint64_t off, uint64_t len)
{
	static const uint8_t zeros[ZEROS];
	int error = 0;

	while (len != 0 && error == 0) {
		size_t n = len < sizeof(zeros) ? (size_t)len : sizeof(zeros);

		error = store_write(s, zeros, n, off);
		off += n;
		len -= n;
	}
	return (error);
}

int
store_zero(struct store *s, uint64_t off, uint64_t len, bool unmap)
{
	int error = s->driver->zero != NULL ? s->driver->zero(s->priv, off, len, unmap) : EOPNOTSUPP;

	return (error == EOPNOTSUPP ? write_zeros(s, off, len) : error);
}

void
store_complain(struct device *dev, const char *path, const char *what, int error)
{
	if (dev != NULL)
		device_log(dev, LOG_LEVEL_ERROR, "disk '%s': %s: %s", path, what, strerror(error));
}
