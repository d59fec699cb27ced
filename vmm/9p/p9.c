/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * p9.c - messages, sessions and fids of 9P2000.L ("9P2000.L protocol" of the diod project; intro(5) of the 9P manual).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../error.h"
#include "p9_internal.h"

#define	HEADER		7		/* size[4] type[1] tag[2] */
#define	RLERROR		7
#define	VERSION		"9P2000.L"

/* Wire */

uint64_t
p9_get(struct p9_in *in, unsigned n)
{
	uint64_t v = 0;

	if (n > in->left) {
		in->bad = true;
		in->left = 0;
		return (0);
	}
	for (unsigned i = 0; i < n; i++)
		v |= (uint64_t)in->p[i] << (8 * i);
	in->p += n;
	in->left -= n;
	return (v);
}

void
p9_get_string(struct p9_in *in, char *buf, size_t max)
{
	size_t n = (size_t)p9_get(in, 2);

	buf[0] = '\0';
	if (n > in->left || n >= max || memchr(in->p, '\0', n) != NULL) {
		in->bad = true;
		in->left = 0;
		return;
	}
	memcpy(buf, in->p, n);
	buf[n] = '\0';
	in->p += n;
	in->left -= n;
}

void
p9_put_bytes(struct p9_out *out, const void *p, size_t n)
{
	if (n > out->max - out->len) {
		out->full = true;
		return;
	}
	memcpy(out->p + out->len, p, n);
	out->len += n;
}

void
p9_put(struct p9_out *out, uint64_t v, unsigned n)
{
	uint8_t bytes[8];

	for (unsigned i = 0; i < n; i++)
		bytes[i] = (uint8_t)(v >> (8 * i));
	p9_put_bytes(out, bytes, n);
}

void
p9_put_string(struct p9_out *out, const char *s)
{
	size_t n = strlen(s);

	p9_put(out, n, 2);
	p9_put_bytes(out, s, n);
}

/* Numbers of the folder's own file system are the file's; those of others beneath it are moved out of their way. */
uint64_t
p9_qid_path(const struct p9 *s, dev_t dev, ino_t ino)
{
	return ((uint64_t)ino ^ ((uint64_t)dev ^ (uint64_t)s->dev) * 0x9e3779b97f4a7c15ULL);
}

void
p9_put_qid(struct p9_out *out, const struct p9 *s, const struct stat *st)
{
	p9_put(out, S_ISDIR(st->st_mode) ? 0x80 : S_ISLNK(st->st_mode) ? 0x02 : 0, 1);
	/* Another one when the contents may be others. */
	p9_put(out, S_ISDIR(st->st_mode) ? 0 : (uint64_t)st->st_mtim.tv_sec << 8 ^ (uint64_t)st->st_mtim.tv_nsec ^ (uint64_t)st->st_size, 4);
	p9_put(out, p9_qid_path(s, st->st_dev, st->st_ino), 8);
}

/* Fids */

static struct p9_fid **
place(struct p9 *s, uint32_t fid)
{
	struct p9_fid **f = &s->bucket[fid % P9_BUCKETS];

	while (*f != NULL && (*f)->fid != fid)
		f = &(*f)->next;
	return (f);
}

struct p9_fid *
p9_fid(const struct p9 *s, uint32_t fid)
{
	struct p9_fid *f = s->bucket[fid % P9_BUCKETS];

	while (f != NULL && f->fid != fid)
		f = f->next;
	return (f);
}

int
p9_fid_set_path(struct p9 *s, struct p9_fid *f, const char *path)
{
	size_t len = strlen(path) + 1, old = f->path != NULL ? strlen(f->path) + 1 : 0;
	char *copy;

	if (len > P9_MEMORY_MAX - (s->memory - old) || (copy = strdup(path)) == NULL)
		return (ENOMEM);
	free(f->path);
	f->path = copy;
	s->memory += len - old;
	return (0);
}

int
p9_fid_value(struct p9 *s, struct p9_fid *f, size_t len)
{
	if (len > P9_MEMORY_MAX - s->memory || (f->value = malloc(len + 1)) == NULL)
		return (ENOMEM);
	f->len = len;
	s->memory += len;
	return (0);
}

/* Servers have threads of their own: when two open a file at once, it may be one too many. */
static _Atomic unsigned nfiles;

bool
p9_may_open(void)
{
	return (atomic_load(&nfiles) < P9_FILES_MAX);
}

void
p9_fid_opened(struct p9_fid *f, int fd, bool dir)
{
	f->fd = fd;
	f->dir = dir;
	(void)atomic_fetch_add(&nfiles, 1);
}

static void
fid_free(struct p9 *s, struct p9_fid *f)
{
	if (f->fd >= 0) {
		close(f->fd);
		(void)atomic_fetch_sub(&nfiles, 1);
	}
	s->memory -= (f->path != NULL ? strlen(f->path) + 1 : 0) + (f->value != NULL ? f->len : 0);
	free(f->path);
	free(f->value);
	free(f);
	s->nfids--;
}

int
p9_fid_add(struct p9 *s, uint32_t fid, const char *path, struct p9_fid **f)
{
	struct p9_fid **at = place(s, fid), *new;
	int error;

	if (*at != NULL)
		return (EBADF);
	if (s->nfids == P9_FIDS_MAX)
		return (ENFILE);
	new = calloc(1, sizeof(*new));
	if (new == NULL)
		return (ENOMEM);
	new->fid = fid;
	new->fd = -1;
	s->nfids++;
	error = p9_fid_set_path(s, new, path);
	if (error != 0) {
		fid_free(s, new);
		return (error);
	}
	*at = new;
	if (f != NULL)
		*f = new;
	return (0);
}

void
p9_fid_remove(struct p9 *s, uint32_t fid)
{
	struct p9_fid **at = place(s, fid), *f = *at;

	if (f == NULL)
		return;
	*at = f->next;
	fid_free(s, f);
}

void
p9_reset(struct p9 *s)
{
	for (unsigned i = 0; i < P9_BUCKETS; i++) {
		while (s->bucket[i] != NULL)
			p9_fid_remove(s, s->bucket[i]->fid);
	}
	s->msize = 0;
}

/* Messages */

static int
version(struct p9 *s, struct p9_in *in, struct p9_out *out)
{
	uint32_t msize = (uint32_t)p9_get(in, 4);
	char name[32];

	p9_get_string(in, name, sizeof(name));
	if (in->bad || msize < P9_MSIZE_MIN)
		return (EINVAL);
	/* A new session, whatever the answer is. */
	p9_reset(s);
	if (msize > P9_MSIZE_MAX)
		msize = P9_MSIZE_MAX;
	if (strcmp(name, VERSION) == 0)
		s->msize = msize;
	p9_put(out, msize, 4);
	p9_put_string(out, s->msize != 0 ? VERSION : "unknown");
	return (0);
}

/* Nobody has to prove who they are. */
static int
auth(struct p9 *s, struct p9_in *in, struct p9_out *out)
{
	return (EOPNOTSUPP);
}

/* Requests are executed one after the other: what is to be flushed is complete. */
static int
flush(struct p9 *s, struct p9_in *in, struct p9_out *out)
{
	(void)p9_get(in, 2);
	return (0);
}

/* The fid is gone even if there is an error. */
static int
p9_clunk(struct p9 *s, struct p9_in *in, struct p9_out *out)
{
	struct p9_fid *f = p9_fid(s, (uint32_t)p9_get(in, 4));
	int error;

	if (f == NULL || in->bad)
		return (EBADF);
	error = f->kind == P9_XATTR_WRITE ? p9_xattr_finish(s, f) : 0;
	p9_fid_remove(s, f->fid);
	return (error);
}

static const struct {
	uint8_t		type;
	bool		writes;		/* refused where the folder is read-only */
	int		(*run)(struct p9 *s, struct p9_in *in, struct p9_out *out);
} messages[] = {
	{ 8, false, p9_statfs },
	{ 12, false, p9_lopen },
	{ 14, true, p9_lcreate },
	{ 16, true, p9_symlink },
	{ 18, true, p9_mknod },
	{ 20, true, p9_rename },
	{ 22, false, p9_readlink },
	{ 24, false, p9_getattr },
	{ 26, true, p9_setattr },
	{ 30, false, p9_xattrwalk },
	{ 32, true, p9_xattrcreate },
	{ 40, false, p9_readdir },
	{ 50, false, p9_fsync },
	{ 52, false, p9_lock },
	{ 54, false, p9_getlock },
	{ 70, true, p9_link },
	{ 72, true, p9_mkdir },
	{ 74, true, p9_renameat },
	{ 76, true, p9_unlinkat },
	{ 100, false, version },
	{ 102, false, auth },
	{ 104, false, p9_attach },
	{ 108, false, flush },
	{ 110, false, p9_walk },
	{ 116, false, p9_read },
	{ 118, true, p9_write },
	{ 120, false, p9_clunk },
	{ 122, true, p9_remove },
};

#define	TVERSION	100

static int
run(struct p9 *s, uint8_t type, struct p9_in *in, struct p9_out *out)
{
	if (s->msize == 0 && type != TVERSION)
		return (EPROTO);
	for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++) {
		if (messages[i].type != type)
			continue;
		if (messages[i].writes && s->readonly) {
			/* 9P: remove ends the fid in any case. */
			if (messages[i].run == p9_remove)
				p9_fid_remove(s, (uint32_t)p9_get(in, 4));
			return (EROFS);
		}
		return (messages[i].run(s, in, out));
	}
	return (EOPNOTSUPP);
}

size_t
p9_request(struct p9 *s, const uint8_t *data, size_t len, uint8_t *buf, size_t max)
{
	struct p9_in in = { .p = data, .left = len };
	struct p9_out out = { .p = buf, .len = HEADER, .max = max };
	uint32_t size = (uint32_t)p9_get(&in, 4);
	uint8_t type = (uint8_t)p9_get(&in, 1);
	uint16_t tag = (uint16_t)p9_get(&in, 2);
	int error;

	if (in.bad || size < HEADER || size > len || max < HEADER + 4)
		return (0);
	in.left = size - HEADER;
	if (s->msize != 0 && out.max > s->msize)
		out.max = s->msize;
	error = s->msize != 0 && size > s->msize ? EMSGSIZE : run(s, type, &in, &out);
	if (error == 0 && out.full)
		error = EMSGSIZE;
	if (error != 0) {
		out.len = HEADER;
		p9_put(&out, (uint64_t)error, 4);
		type = RLERROR - 1;
	}
	size = (uint32_t)out.len;
	out.len = 0;
	p9_put(&out, size, 4);
	p9_put(&out, type + 1U, 1);
	p9_put(&out, tag, 2);
	return (size);
}

/* Life */

struct p9 *
p9_open(const char *who, const char *path, bool readonly)
{
	struct p9 *s = calloc(1, sizeof(*s));
	struct stat st;

	if (s == NULL)
		return (vmm_fail_null(ENOMEM, "%s: no memory", who));
	s->readonly = readonly;
	s->root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (s->root < 0 || fstat(s->root, &st) != 0) {
		(void)vmm_fail_sys(errno, "%s: cannot share '%s'", who, path);
		if (s->root >= 0)
			close(s->root);
		free(s);
		return (NULL);
	}
	s->dev = st.st_dev;
	s->ino = st.st_ino;
	return (s);
}

void
p9_close(struct p9 *s)
{
	if (s == NULL)
		return;
	p9_reset(s);
	close(s->root);
	free(s);
}

unsigned
p9_fids(const struct p9 *s)
{
	return (s->nfids);
}

uint32_t
p9_msize(const struct p9 *s)
{
	return (s->msize);
}

void
p9_set_msize(struct p9 *s, uint32_t msize)
{
	s->msize = msize;
}
