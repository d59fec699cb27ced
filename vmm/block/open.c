/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * open.c - from a disk's keys to its layers of storage.
 *
 * WHICH FORMAT.  A guest writes what it likes to a raw image: also the header of another format, one that names any file of the
 * host as its backing file.  What is in an image alone must not decide, then.  Its name is the host's, and so decides: where both
 * agree all is well, and where they do not somebody has to say.
 */
#include <sys/stat.h>

#include <errno.h>
#include <string.h>

#include "../error.h"
#include "store.h"

#define	DEPTH_MAX	32		/* backing files behind one another */

const char *const block_formats[] = { "auto", "raw", "qcow2", NULL };
const char *const block_engines[] = { "auto", "io_uring", "threads", NULL };

/* A URI's name ends where its parameters begin. */
static bool
ends_with(const char *path, const char *end)
{
	size_t n = nbd_is_uri(path) ? strcspn(path, "?") : strlen(path), m = strlen(end);

	return (n > m && strncasecmp(path + n - m, end, m) == 0);
}

static int
format(const struct block_options *o, struct store *file, enum block_format *f)
{
	static const struct { const char *end; enum block_format format; } names[] = {
		{ ".qcow2", BLOCK_QCOW2 }, { ".raw", BLOCK_RAW }, { ".iso", BLOCK_RAW },
	};
	bool qcow2 = qcow2_is(file);

	*f = o->format;
	for (unsigned i = 0; *f == BLOCK_AUTO && i < sizeof(names) / sizeof(names[0]); i++)
		if (ends_with(o->path, names[i].end))
			*f = names[i].format;
	if (*f == BLOCK_AUTO && qcow2)
		return (vmm_fail(EINVAL, "disk '%s' begins as a qcow2 image does, but its name does not end in .qcow2, and a guest can "
		    "write that into a raw image: say format=qcow2 or format=raw", o->path));
	if (*f == BLOCK_QCOW2 && !qcow2)
		return (vmm_fail(EINVAL, "disk '%s' is no qcow2 image%s", o->path,
		    o->format == BLOCK_AUTO ? "; if it is a raw one with that name, say format=raw" : ""));
	return (0);
}

/* Where this image is among those that lead to it. */
static int
link_chain(const struct block_options *o, const struct store_chain *up, struct store_chain *here)
{
	struct stat st;

	*here = (struct store_chain){ .up = up, .depth = up != NULL ? up->depth + 1 : 0 };
	if (here->depth > DEPTH_MAX)
		return (vmm_fail(ELOOP, "disk '%s': more than %d backing files behind one another", o->path, DEPTH_MAX));
	if (stat(o->path, &st) != 0)
		return (0);		/* opening it says why */
	here->dev = st.st_dev;
	here->ino = st.st_ino;
	for (; up != NULL; up = up->up)
		if (up->dev == here->dev && up->ino == here->ino)
			return (vmm_fail(ELOOP, "disk '%s' is its own backing file, or that of one of its backing files", o->path));
	return (0);
}

struct store *
store_open(const struct block_options *o, const struct store_chain *up)
{
	struct store_chain here;
	enum block_format f;
	struct store *s;
	int error;
	bool nbd;

	if (link_chain(o, up, &here) != 0)
		return (NULL);
	/* A backing file's name is in an image, which nobody trusts to name a server. */
	nbd = up == NULL && nbd_is_uri(o->path);
	s = nbd ? nbd_open(o) : raw_open(o);
	if (s != NULL && (format(o, s, &f) != 0 || (f != BLOCK_QCOW2 && !nbd && raw_is_disk(s) != 0))) {
		error = errno;
		store_close(s);
		errno = error;
		return (NULL);
	}
	if (s != NULL && o->record != NULL)
		s = recorder_open(s, o);
	if (s != NULL && f == BLOCK_QCOW2)
		s = qcow2_open(s, o, &here);
	return (s);
}

/* What is refused goes. */
static struct block *
refused(struct block *b)
{
	int error = errno;

	block_close(b);
	errno = error;
	return (NULL);
}

struct block *
block_open(const struct block_options *o)
{
	struct store *s = store_open(o, NULL);
	struct block *b;

	if (s != NULL && (s->size == 0 || s->size % BLOCK_SECTOR != 0)) {
		(void)vmm_fail(EINVAL, "disk '%s' has %llu bytes; a disk is a whole number of sectors of %u bytes", o->path,
		    (unsigned long long)s->size, BLOCK_SECTOR);
		store_close(s);
		errno = EINVAL;
		return (NULL);
	}
	b = s != NULL ? block_open_store(s) : NULL;
	return (b != NULL && block_choose_engine(b, o) != 0 ? refused(b) : b);
}

struct block *
block_open_keys(struct device *dev, struct config_node *node, bool readonly)
{
	const struct block_options o = {
		.path = config_str(node, "path"),
		.format = (enum block_format)config_num(node, "format"),
		.nobacking = !config_bool(node, "backing"),
		.readonly = readonly || config_bool(node, "ro"),
		.nocache = config_bool(node, "nocache"),
		.aio = (enum block_aio)config_num(node, "aio"),
		.dev = dev,
		.record = config_str(node, "record"),
		.timeout = (unsigned)config_num(node, "timeout"),
		.reconnect_delay = (unsigned)config_num(node, "reconnect-delay"),
	};

	return (block_open(&o));
}
