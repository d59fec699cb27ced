/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * p9_file.c - open files of the shared folder: contents, entries of folders, locks, extended attributes.
 */
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "p9_internal.h"

/* Flags of lopen and lcreate: Linux' on amd64, whatever host and guest are. */
#define	L_ACCMODE	03U
#define	L_EXCL		0200U
#define	L_TRUNC		01000U
#define	L_DSYNC		010000U
#define	L_SYNC		04000000U

#define	READ_HEADER	11U		/* of the replies to read and readdir: size[4] type[1] tag[2] count[4] */

/* Locks */
enum { TYPE_READ, TYPE_WRITE, TYPE_NONE };
enum { DONE, BLOCKED, FAILED };

#define	USER_XATTR	"user."
#define	XATTR_MAX	65536U

/*
 * What a client's flags mean here.  Where to write is what the client says with each write, so appending is its own affair; nothing that is
 * opened makes anybody wait.
 */
static int
open_flags(uint32_t flags)
{
	static const int access[] = { O_RDONLY, O_WRONLY, O_RDWR, -1 };
	int f = access[flags & L_ACCMODE];

	if (f < 0)
		return (-1);
	if ((flags & L_TRUNC) != 0)
		f |= O_TRUNC;
	if ((flags & L_SYNC) == L_SYNC)
		f |= O_SYNC;
	else if ((flags & L_DSYNC) != 0)
		f |= O_DSYNC;
	return (f | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
}

/* Flags and the length of a message that fits any session. */
static void
put_opened(struct p9 *s, const struct stat *st, struct p9_out *out)
{
	p9_put_qid(out, s, st);
	p9_put(out, 0, 4);			/* iounit: what fits into a message */
}

int
p9_lopen(struct p9 *s, struct p9_in *in, struct p9_out *out)
{
	struct p9_fid *f = p9_fid(s, (uint32_t)p9_get(in, 4));
	int flags = open_flags((uint32_t)p9_get(in, 4)), fd, opened = -1, error = 0;
	char path[32];
	struct stat st;

	if (f == NULL || in->bad || f->kind != P9_PLAIN || f->fd >= 0)
		return (EBADF);
	if (flags < 0)
		return (EINVAL);
	if (s->readonly && ((flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC) != 0))
		return (EROFS);
	if (!p9_may_open())
		return (EMFILE);
	fd = p9_open_fid(s, f);
	if (fd < 0)
		return (-fd);
	if (fstat(fd, &st) != 0)
		error = errno;
	else if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
		error = EACCES;
	if (error == 0) {
		p9_proc(fd, path);
		opened = open(path, flags);
		error = opened < 0 ? errno : 0;
	}
	close(fd);
	if (error != 0)
		return (error);
	p9_fid_opened(f, opened, S_ISDIR(st.st_mode));
	put_opened(s, &st, out);
	return (0);
}

/* Make and open name in the folder dfd; what is there already is opened if it is a regular file.  -errno. */
static int
create(int dfd, const char *name, uint32_t flags, uint32_t mode, struct stat *st)
{
	struct open_how how = {
		.flags = (uint64_t)(open_flags(flags) | O_CREAT | O_NOFOLLOW), .mode = p9_mode(mode),
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS,
	};
	int fd, error;

	if ((flags & L_EXCL) != 0)
		how.flags |= O_EXCL;
	else if (fstatat(dfd, name, st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISREG(st->st_mode))
		return (-EEXIST);
	fd = (int)syscall(SYS_openat2, dfd, name, &how, sizeof(how));
	if (fd < 0)
		return (-errno);
	error = fstat(fd, st) != 0 ? errno : !S_ISREG(st->st_mode) ? EACCES : 0;
	if (error == 0)
		return (fd);
	close(fd);
	return (-error);
}

/* The fid, which was the folder's, becomes the new file's. */
int
p9_lcreate(struct p9 *s, struct p9_in *in, struct p9_out *out)
{
	struct p9_fid *f = p9_fid(s, (uint32_t)p9_get(in, 4));
	char name[NAME_MAX + 1], path[PATH_MAX];
	int error = p9_get_name(in, name), dfd, fd;
	uint32_t flags = (uint32_t)p9_get(in, 4), mode = (uint32_t)p9_get(in, 4);
	struct stat st;

	(void)p9_get(in, 4);
	if (f == NULL || f->kind != P9_PLAIN || f->fd >= 0 || f->path == NULL)
		return (EBADF);
	if (error != 0 || in->bad || open_flags(flags) < 0)
		return (EINVAL);
	if (!p9_may_open())
		return (EMFILE);
	error = p9_join(f->path, name, path);
	if (error != 0)
		return (error);
	dfd = p9_open_path(s, f->path);
	if (dfd < 0)
		return (-dfd);
	fd = create(dfd, name, flags, mode, &st);
	close(dfd);
	if (fd < 0)
		return (-fd);
	error = p9_fid_set_path(s, f, path);
	if (error != 0) {
		close(fd);
		return (error);
	}
	p9_fid_opened(f, fd, false);
	put_opened(s, &st, out);
	return (0);
}

/* Room for count bytes in the reply, behind their number. */
static size_t
room(const struct p9_out *out, uint32_t count)
{
	size_t left = out->max > READ_HEADER ? out->max - READ_HEADER : 0;

	return (count < left ? count : left);
}

/* What was put behind the place for its length. */
static void
put_data(struct p9_out *out, size_t n)
{
	p9_put(out, n, 4);
	if (!out->full)
		out->len += n;
}

int
p9_read(struct p9 *s, struct p9_in *in, struct p9_out *out)
{
	struct p9_fid *f = p9_fid(s, (uint32_t)p9_get(in, 4));
	uint64_t off = p9_get(in, 8);
	size_t n = room(out, (uint32_t)p9_get(in, 4));
	ssize_t got;

	if (f == NULL || in->bad || f->kind == P9_XATTR_WRITE || (f->kind == P9_PLAIN && f->fd < 0))
		return (EBADF);
	if (off > INT64_MAX || out->max < READ_HEADER)
		return (EINVAL);
	if (f->kind == P9_XATTR_READ) {
		got = off >= f->len ? 0 : (ssize_t)(f->len - off < n ? f->len - off : n);
		memcpy(out->p + READ_HEADER, f->value + (got != 0 ? off : 0), (size_t)got);
	} else {
		got = pread(f->fd, out->p + READ_HEADER, n, (off_t)off);
		if (got < 0)
			return (errno);
	}
	put_data(out, (size_t)got);
	return (0);
}

int
p9_write(struct p9 *s, struct p9_in *in, struct p9_out *out)
{
	struct p9_fid *f = p9_fid(s, (uint32_t)p9_get(in, 4));
	uint64_t off = p9_get(in, 8);
	uint32_t n = (uint32_t)p9_get(in, 4);
	ssize_t put;

	if (f == NULL || f->kind == P9_XATTR_READ || (f->kind == P9_PLAIN && f->fd < 0))
		return (EBADF);
	if (in->bad || n > in->left || off > INT64_MAX)
		return (EINVAL);
	if (f->kind == P9_XATTR_WRITE) {
		if (off > f->len || n > f->len - off)
			return (ENOSPC);
		memcpy(f->value + off, in->p, n);
		put = (ssize_t)n;
	} else {
		put = pwrite(f->fd, in->p, n, (off_t)off);
		if (put < 0)
			return (errno);
	}
	p9_put(out, (uint64_t)put, 4);
	return (0);
}

/* Folders */

struct dirent64_head {
	uint64_t	ino;
	int64_t		off;
	uint16_t	len;
	uint8_t		type;
} __attribute__((packed));

/* An entry, if it fits into what is left of the reply. */
static bool
put_dirent(struct p9 *s, const struct p9_fid *f, const struct stat *dir, const uint8_t *p, struct p9_out *out)
{
	const char *name = (const char *)p + 19;
	struct dirent64_head d;
	size_t len = strlen(name);
	struct stat st = { .st_dev = dir->st_dev };

	memcpy(&d, p, 19);
	if (13 + 8 + 1 + 2 + len > out->max - out->len)
		return (false);
	/* Above the shared folder there is nothing. */
	st.st_ino = strcmp(name, "..") == 0 && f->path != NULL && f->path[0] == '\0' ? s->ino : (ino_t)d.ino;
	st.st_mode = d.type == DT_DIR ? S_IFDIR : d.type == DT_LNK ? S_IFLNK : S_IFREG;
	p9_put_qid(out, s, &st);
	p9_put(out, (uint64_t)d.off, 8);
	p9_put(out, d.type, 1);
	p9_put_string(out, name);
	return (true);
}

int
p9_readdir(struct p9 *s, struct p9_in *in, struct p9_out *out)
{
	struct p9_fid *f = p9_fid(s, (uint32_t)p9_get(in, 4));
	uint64_t off = p9_get(in, 8);
	size_t n = room(out, (uint32_t)p9_get(in, 4)), at = out->len;
	struct p9_out data = { .p = out->p, .len = READ_HEADER, .max = READ_HEADER + n };
	_Alignas(8) uint8_t buf[16384];
	struct stat st;
	bool fits = true;
	long got = 0;

	if (f == NULL || in->bad || f->kind != P9_PLAIN || f->fd < 0)
		return (EBADF);
	if (!f->dir)
		return (ENOTDIR);
	if (off > INT64_MAX || out->max < READ_HEADER || at != READ_HEADER - 4)
		return (EINVAL);
	if (fstat(f->fd, &st) != 0 || lseek(f->fd, (off_t)off, SEEK_SET) < 0)
		return (errno);
	while (fits && (got = syscall(SYS_getdents64, f->fd, buf, sizeof(buf))) > 0) {
		for (long i = 0; fits && i < got;) {
			struct dirent64_head d;

			memcpy(&d, buf + i, 19);
			fits = put_dirent(s, f, &st, buf + i, &data);
			i += d.len;
		}
	}
	if (got < 0)
		return (errno);
	/* Not one entry fits: an end would be told that is none. */
	if (!fits && data.len == READ_HEADER)
		return (EINVAL);
	put_data(out, data.len - READ_HEADER);
	return (0);
}

int
p9_fsync(struct p9 *s, struct p9_in *in, struct p9_out *out)
{
	struct p9_fid *f = p9_fid(s, (uint32_t)p9_get(in, 4));
	/* Older clients do not send it. */
	bool data = in->left >= 4 && p9_get(in, 4) != 0;

	if (f == NULL || in->bad || f->kind != P9_PLAIN || f->fd < 0)
		return (EBADF);
	return ((data ? fdatasync(f->fd) : fsync(f->fd)) == 0 ? 0 : errno);
}

/*
 * Locks are those of the open file (F_OFD_SETLK): they hold between fids, between VMs that share a folder, and against programs of the host.
 * Among its own processes the client sees to locks itself.
 */
struct lock {
	struct p9_fid	*f;
	struct flock	 l;
	uint64_t	 start, len;
	uint32_t	 proc;
	char		 client[256];
};

static int
get_lock(struct p9 *s, struct p9_in *in, bool has_flags, struct lock *k)
{
	static const short types[] = { [TYPE_READ] = F_RDLCK, [TYPE_WRITE] = F_WRLCK, [TYPE_NONE] = F_UNLCK };
	uint8_t type;

	k->f = p9_fid(s, (uint32_t)p9_get(in, 4));
	type = (uint8_t)p9_get(in, 1);
	if (has_flags)
		(void)p9_get(in, 4);		/* whether to block: the client asks again */
	k->start = p9_get(in, 8);
	k->len = p9_get(in, 8);
	k->proc = (uint32_t)p9_get(in, 4);
	p9_get_string(in, k->client, sizeof(k->client));
	if (k->f == NULL || k->f->kind != P9_PLAIN || k->f->fd < 0)
		return (EBADF);
	if (in->bad || type > TYPE_NONE || k->start > INT64_MAX || k->len > INT64_MAX)
		return (EINVAL);
	k->l = (struct flock){ .l_type = types[type], .l_whence = SEEK_SET, .l_start = (off_t)k->start, .l_len = (off_t)k->len };
	return (0);
}

int
p9_lock(struct p9 *s, struct p9_in *in, struct p9_out *out)
{
	struct lock k;
	int error = get_lock(s, in, true, &k), status = DONE;

	if (error != 0)
		return (error);
	if (fcntl(k.f->fd, F_OFD_SETLK, &k.l) != 0)
		status = errno == EAGAIN || errno == EACCES ? BLOCKED : FAILED;
	p9_put(out, (uint64_t)status, 1);
	return (0);
}

int
p9_getlock(struct p9 *s, struct p9_in *in, struct p9_out *out)
{
	struct lock k;
	int error = get_lock(s, in, false, &k);

	if (error != 0)
		return (error);
	if (k.l.l_type == F_UNLCK)
		return (EINVAL);
	if (fcntl(k.f->fd, F_OFD_GETLK, &k.l) != 0)
		return (errno);
	if (k.l.l_type != F_UNLCK) {
		k.start = (uint64_t)k.l.l_start;
		k.len = (uint64_t)k.l.l_len;
		k.proc = 0;			/* nobody that the client knows */
		k.client[0] = '\0';
	}
	p9_put(out, k.l.l_type == F_UNLCK ? TYPE_NONE : k.l.l_type == F_RDLCK ? TYPE_READ : TYPE_WRITE, 1);
	p9_put(out, k.start, 8);
	p9_put(out, k.len, 8);
	p9_put(out, k.proc, 4);
	p9_put_string(out, k.client);
	return (0);
}

/* Extended attributes */

/* Of a list, the names that clients see. */
static size_t
user_names(char *list, size_t len)
{
	size_t out = 0, n;

	for (size_t at = 0; at < len; at += n) {
		n = strnlen(list + at, len - at) + 1;
		if (strncmp(list + at, USER_XATTR, sizeof(USER_XATTR) - 1) != 0)
			continue;
		memmove(list + out, list + at, n);
		out += n;
	}
	return (out);
}

/* The value of name, or the list if that is "", into buf of XATTR_MAX bytes; -errno. */
static ssize_t
read_xattr(const struct p9 *s, const struct p9_fid *f, const char *name, char *buf)
{
	int fd = p9_open_fid(s, f);
	char path[32];
	ssize_t n;

	if (fd < 0)
		return (fd);
	p9_proc(fd, path);
	n = name[0] != '\0' ? getxattr(path, name, buf, XATTR_MAX) : listxattr(path, buf, XATTR_MAX);
	if (n < 0)
		n = -errno;
	else if (name[0] == '\0')
		n = (ssize_t)user_names(buf, (size_t)n);
	close(fd);
	return (n);
}

static bool
is_user(const char *name)
{
	return (strncmp(name, USER_XATTR, sizeof(USER_XATTR) - 1) == 0);
}

int
p9_xattrwalk(struct p9 *s, struct p9_in *in, struct p9_out *out)
{
	struct p9_fid *f = p9_fid(s, (uint32_t)p9_get(in, 4)), *new;
	uint32_t newfid = (uint32_t)p9_get(in, 4);
	char name[NAME_MAX + 1], *buf;
	ssize_t n;
	int error;

	p9_get_string(in, name, sizeof(name));
	if (f == NULL || f->kind != P9_PLAIN || p9_fid(s, newfid) != NULL)
		return (EBADF);
	if (in->bad)
		return (EINVAL);
	if (name[0] != '\0' && !is_user(name))
		return (EOPNOTSUPP);
	buf = malloc(XATTR_MAX + 1);
	if (buf == NULL)
		return (ENOMEM);
	n = read_xattr(s, f, name, buf);
	error = n < 0 ? (int)-n : p9_fid_add(s, newfid, "", &new);
	if (error == 0) {
		new->kind = P9_XATTR_READ;
		error = p9_fid_value(s, new, (size_t)n);
		if (error == 0)
			memcpy(new->value, buf, (size_t)n);
		else
			p9_fid_remove(s, newfid);
	}
	free(buf);
	if (error == 0)
		p9_put(out, (uint64_t)n, 8);
	return (error);
}

int
p9_xattrcreate(struct p9 *s, struct p9_in *in, struct p9_out *out)
{
	struct p9_fid *f = p9_fid(s, (uint32_t)p9_get(in, 4));
	char name[NAME_MAX + 1];
	uint64_t len;
	uint32_t flags;
	int error;

	p9_get_string(in, name, sizeof(name));
	len = p9_get(in, 8);
	flags = (uint32_t)p9_get(in, 4);
	if (f == NULL || f->kind != P9_PLAIN || f->fd >= 0 || f->path == NULL)
		return (EBADF);
	if (in->bad || (flags & ~(uint32_t)(XATTR_CREATE | XATTR_REPLACE)) != 0)
		return (EINVAL);
	if (!is_user(name))
		return (EOPNOTSUPP);
	if (len > XATTR_MAX)
		return (E2BIG);
	error = p9_fid_value(s, f, (size_t)len);
	if (error != 0)
		return (error);
	memset(f->value, 0, (size_t)len);
	memcpy(f->name, name, sizeof(name));
	f->flags = (int)flags;
	f->kind = P9_XATTR_WRITE;
	return (0);
}

/* A value of no bytes, to be replaced, is none: so clients remove one. */
int
p9_xattr_finish(struct p9 *s, struct p9_fid *f)
{
	int fd = p9_open_fid(s, f), error = 0;
	char path[32];

	if (fd < 0)
		return (-fd);
	p9_proc(fd, path);
	if (f->len == 0 && f->flags == XATTR_REPLACE) {
		if (removexattr(path, f->name) != 0)
			error = errno;
	} else if (setxattr(path, f->name, f->value, f->len, f->flags) != 0)
		error = errno;
	close(fd);
	return (error);
}
