/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * p9_tree.c - the tree of names beneath the shared folder, and what files are without being open.
 */
#include <linux/openat2.h>
#include <sys/statfs.h>
#include <sys/syscall.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "p9_internal.h"

#define	WALK_MAX	16		/* names of one walk */
#define	REMOVEDIR	0x200U		/* of unlinkat, as Linux has it everywhere */

/* Attributes of getattr (the first eleven are stat's) and of setattr */
#define	GETATTR_BASIC	0x7ffULL
enum {
	SET_MODE = 0x01, SET_UID = 0x02, SET_GID = 0x04, SET_SIZE = 0x08, SET_ATIME = 0x10, SET_MTIME = 0x20, SET_ATIME_TO = 0x80,
	SET_MTIME_TO = 0x100
};

/* Paths */

int
p9_open_path(const struct p9 *s, const char *path)
{
	/* The last component may be a link, which O_PATH with O_NOFOLLOW has itself. */
	const struct open_how how = {
		.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS,
	};
	int fd = (int)syscall(SYS_openat2, s->root, path[0] != '\0' ? path : ".", &how, sizeof(how));

	return (fd >= 0 ? fd : -errno);
}

int
p9_open_fid(const struct p9 *s, const struct p9_fid *f)
{
	int fd;

	if (f->fd >= 0) {
		fd = fcntl(f->fd, F_DUPFD_CLOEXEC, 0);
		return (fd >= 0 ? fd : -errno);
	}
	return (f->path != NULL ? p9_open_path(s, f->path) : -ESTALE);
}

int
p9_get_name(struct p9_in *in, char name[NAME_MAX + 1])
{
	p9_get_string(in, name, NAME_MAX + 1);
	if (in->bad || name[0] == '\0' || strchr(name, '/') != NULL || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return (EINVAL);
	return (0);
}

int
p9_join(const char *dir, const char *name, char path[PATH_MAX])
{
	int n = snprintf(path, PATH_MAX, "%s%s%s", dir, dir[0] != '\0' ? "/" : "", name);

	return (n < PATH_MAX ? 0 : ENAMETOOLONG);
}

void
p9_proc(int fd, char buf[32])
{
	(void)snprintf(buf, 32, "/proc/self/fd/%d", fd);
}

mode_t
p9_mode(uint32_t mode)
{
	return ((mode_t)mode & (S_ISVTX | S_IRWXU | S_IRWXG | S_IRWXO));
}

static int
stat_path(const struct p9 *s, const char *path, struct stat *st)
{
	int fd = p9_open_path(s, path), error;

	if (fd < 0)
		return (-fd);
	error = fstat(fd, st) == 0 ? 0 : errno;
	close(fd);
	return (error);
}

/* The fid that a request begins with, and its path. */
static int
get_fid(struct p9 *s, struct p9_in *in, struct p9_fid **f)
{
	*f = p9_fid(s, (uint32_t)p9_get(in, 4));
	if (*f == NULL || in->bad || (*f)->kind != P9_PLAIN)
		return (EBADF);
	return ((*f)->path != NULL ? 0 : ESTALE);
}

/* A folder's fid as a descriptor, with a name in it and the path that makes; what is open is the caller's to close. */
struct entry {
	struct p9_fid	*dir;
	int		 fd;
	char		 name[NAME_MAX + 1];
	char		 path[PATH_MAX];
};

static int
get_entry(struct p9 *s, struct p9_in *in, struct entry *e)
{
	int error = get_fid(s, in, &e->dir);

	e->fd = -1;
	if (error == 0)
		error = p9_get_name(in, e->name);
	if (error == 0)
		error = p9_join(e->dir->path, e->name, e->path);
	if (error != 0)
		return (error);
	e->fd = p9_open_path(s, e->dir->path);
	return (e->fd >= 0 ? 0 : -e->fd);
}

static void
put_entry(struct entry *e)
{
	if (e->fd >= 0)
		close(e->fd);
	e->fd = -1;
}

/* The reply of what made something: it belongs to who runs hyve, whatever the client asks for. */
static int
made(struct p9 *s, const struct entry *e, int done, struct p9_out *out)
{
	struct stat st;

	if (done != 0 || fstatat(e->fd, e->name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return (errno);
	p9_put_qid(out, s, &st);
	return (0);
}

/* Walks */

int
p9_attach(struct p9 *s, struct p9_in *in, struct p9_out *out)
{
	uint32_t fid = (uint32_t)p9_get(in, 4);
	char name[PATH_MAX];
	struct stat st;
	int error;

	(void)p9_get(in, 4);			/* afid: there is no authentication */
	p9_get_string(in, name, sizeof(name));	/* user */
	p9_get_string(in, name, sizeof(name));	/* which tree: there is one */
	if (in->bad)
		return (EINVAL);
	error = stat_path(s, "", &st);
	if (error == 0)
		error = p9_fid_add(s, fid, "", NULL);
	if (error == 0)
		p9_put_qid(out, s, &st);
	return (error);
}

/* One name further; ".." of the folder is the folder. */
static int
step(struct p9 *s, struct p9_in *in, char path[PATH_MAX], struct stat *st)
{
	char name[NAME_MAX + 1], next[PATH_MAX], *slash;
	int error;

	p9_get_string(in, name, sizeof(name));
	if (in->bad)
		return (EINVAL);
	if (strcmp(name, "..") == 0) {
		slash = strrchr(path, '/');
		(slash != NULL ? slash : path)[0] = '\0';
		return (stat_path(s, path, st));
	}
	if (name[0] == '\0' || strchr(name, '/') != NULL || strcmp(name, ".") == 0)
		return (EINVAL);
	error = p9_join(path, name, next);
	if (error == 0)
		error = stat_path(s, next, st);
	if (error == 0)
		memcpy(path, next, strlen(next) + 1);
	return (error);
}

int
p9_walk(struct p9 *s, struct p9_in *in, struct p9_out *out)
{
	size_t at;
	struct p9_fid *f;
	char path[PATH_MAX];
	int error = get_fid(s, in, &f);
	uint32_t newfid = (uint32_t)p9_get(in, 4);
	unsigned n = (unsigned)p9_get(in, 2), done = 0;
	struct stat st;

	if (error != 0)
		return (error);
	if (in->bad || n > WALK_MAX)
		return (EINVAL);
	if (newfid != f->fid && p9_fid(s, newfid) != NULL)
		return (EBADF);
	memcpy(path, f->path, strlen(f->path) + 1);
	at = out->len;
	p9_put(out, 0, 2);
	for (; done < n; done++) {
		error = step(s, in, path, &st);
		if (error != 0)
			break;
		p9_put_qid(out, s, &st);
	}
	/* The first name that fails is an error; behind that the client hears how far it came. */
	if (error != 0 && (done == 0 || in->bad))
		return (error);
	if (done == n) {
		if (newfid == f->fid && f->fd >= 0)
			return (EBUSY);
		error = newfid == f->fid ? p9_fid_set_path(s, f, path) : p9_fid_add(s, newfid, path, NULL);
		if (error != 0)
			return (error);
	}
	if (!out->full)
		out->p[at] = (uint8_t)done;
	return (0);
}

/* Attributes */

/* What the message's fid names, if that is no extended attribute, for the caller to close; a negative errno. */
static int
open_fid(struct p9 *s, struct p9_in *in)
{
	struct p9_fid *f = p9_fid(s, (uint32_t)p9_get(in, 4));

	return (f == NULL || in->bad || f->kind != P9_PLAIN ? -EBADF : p9_open_fid(s, f));
}

static void
put_time(struct p9_out *out, const struct timespec *t)
{
	p9_put(out, (uint64_t)t->tv_sec, 8);
	p9_put(out, (uint64_t)t->tv_nsec, 8);
}

int
p9_getattr(struct p9 *s, struct p9_in *in, struct p9_out *out)
{
	int fd = open_fid(s, in), error;
	struct stat st;

	if (fd < 0)
		return (-fd);
	error = fstat(fd, &st) == 0 ? 0 : errno;
	close(fd);
	if (error != 0)
		return (error);
	p9_put(out, GETATTR_BASIC, 8);
	p9_put_qid(out, s, &st);
	p9_put(out, st.st_mode, 4);
	p9_put(out, st.st_uid, 4);
	p9_put(out, st.st_gid, 4);
	p9_put(out, st.st_nlink, 8);
	p9_put(out, st.st_rdev, 8);
	p9_put(out, (uint64_t)st.st_size, 8);
	p9_put(out, (uint64_t)st.st_blksize, 8);
	p9_put(out, (uint64_t)st.st_blocks, 8);
	put_time(out, &st.st_atim);
	put_time(out, &st.st_mtim);
	put_time(out, &st.st_ctim);
	for (unsigned i = 0; i < 4; i++)
		p9_put(out, 0, 8);		/* birth, generation, data version: not said to be valid */
	return (0);
}

struct change {
	uint32_t	valid, mode, uid, gid;
	uint64_t	size;
	struct timespec	time[2];
};

static int
change(const struct p9_fid *f, int fd, const struct change *c)
{
	struct timespec t[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_nsec = UTIME_OMIT } };
	char path[32];
	struct stat st;

	p9_proc(fd, path);
	if (fstat(fd, &st) != 0)
		return (errno);
	if ((c->valid & SET_MODE) != 0 && (S_ISLNK(st.st_mode) || chmod(path, p9_mode(c->mode)) != 0))
		return (S_ISLNK(st.st_mode) ? EOPNOTSUPP : errno);
	if ((c->valid & (SET_UID | SET_GID)) != 0 && fchownat(fd, "", (c->valid & SET_UID) != 0 ? c->uid : (uid_t)-1,
	    (c->valid & SET_GID) != 0 ? c->gid : (gid_t)-1, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) != 0)
		return (errno);
	if ((c->valid & SET_SIZE) != 0) {
		if (!S_ISREG(st.st_mode) || c->size > INT64_MAX)
			return (EINVAL);
		/* What is open may be written where the path may not any more. */
		if ((f->fd < 0 || ftruncate(f->fd, (off_t)c->size) != 0) && truncate(path, (off_t)c->size) != 0)
			return (errno);
	}
	for (unsigned i = 0; i < 2; i++) {
		if ((c->valid & (i == 0 ? SET_ATIME_TO : SET_MTIME_TO)) != 0)
			t[i] = c->time[i];
		else if ((c->valid & (i == 0 ? SET_ATIME : SET_MTIME)) != 0)
			t[i].tv_nsec = UTIME_NOW;
	}
	if ((c->valid & (SET_ATIME | SET_MTIME)) != 0 && !S_ISLNK(st.st_mode) && utimensat(AT_FDCWD, path, t, 0) != 0)
		return (errno);
	return (0);
}

int
p9_setattr(struct p9 *s, struct p9_in *in, struct p9_out *out)
{
	struct p9_fid *f = p9_fid(s, (uint32_t)p9_get(in, 4));
	struct change c = { .valid = (uint32_t)p9_get(in, 4) };
	int fd, error;

	c.mode = (uint32_t)p9_get(in, 4);
	c.uid = (uint32_t)p9_get(in, 4);
	c.gid = (uint32_t)p9_get(in, 4);
	c.size = p9_get(in, 8);
	for (unsigned i = 0; i < 2; i++) {
		c.time[i].tv_sec = (time_t)p9_get(in, 8);
		c.time[i].tv_nsec = (long)p9_get(in, 8);
		/* Two values of this mean something else to the kernel.  What is not to be set may be anything. */
		if ((c.valid & (i == 0 ? SET_ATIME_TO : SET_MTIME_TO)) != 0 && (uint64_t)c.time[i].tv_nsec >= 1000000000ULL)
			in->bad = true;
	}
	if (f == NULL || f->kind != P9_PLAIN)
		return (EBADF);
	if (in->bad)
		return (EINVAL);
	fd = p9_open_fid(s, f);
	if (fd < 0)
		return (-fd);
	error = change(f, fd, &c);
	close(fd);
	return (error);
}

int
p9_statfs(struct p9 *s, struct p9_in *in, struct p9_out *out)
{
	int fd = open_fid(s, in), error;
	struct statfs st;

	if (fd < 0)
		return (-fd);
	error = fstatfs(fd, &st) == 0 ? 0 : errno;
	close(fd);
	if (error != 0)
		return (error);
	p9_put(out, 0x01021997, 4);		/* of 9P, as Linux numbers it */
	p9_put(out, (uint64_t)st.f_bsize, 4);
	p9_put(out, st.f_blocks, 8);
	p9_put(out, st.f_bfree, 8);
	p9_put(out, st.f_bavail, 8);
	p9_put(out, st.f_files, 8);
	p9_put(out, st.f_ffree, 8);
	p9_put(out, 0, 8);
	p9_put(out, (uint64_t)st.f_namelen, 4);
	return (0);
}

/* New files */

int
p9_symlink(struct p9 *s, struct p9_in *in, struct p9_out *out)
{
	char target[PATH_MAX];
	struct entry e;
	int error = get_entry(s, in, &e);

	p9_get_string(in, target, sizeof(target));
	(void)p9_get(in, 4);
	if (error == 0)
		error = in->bad ? EINVAL : made(s, &e, symlinkat(target, e.fd, e.name), out);
	put_entry(&e);
	return (error);
}

/* FIFOs and sockets have their meaning in the guest; a device would have one on the host. */
int
p9_mknod(struct p9 *s, struct p9_in *in, struct p9_out *out)
{
	struct entry e;
	int error = get_entry(s, in, &e);
	uint32_t mode = (uint32_t)p9_get(in, 4);

	(void)p9_get(in, 8);
	(void)p9_get(in, 4);
	if (error == 0 && in->bad)
		error = EINVAL;
	if (error == 0 && !S_ISREG(mode) && !S_ISFIFO(mode) && !S_ISSOCK(mode))
		error = EPERM;
	if (error == 0)
		error = made(s, &e, mknodat(e.fd, e.name, (mode & S_IFMT) | p9_mode(mode), 0), out);
	put_entry(&e);
	return (error);
}

int
p9_mkdir(struct p9 *s, struct p9_in *in, struct p9_out *out)
{
	struct entry e;
	int error = get_entry(s, in, &e);
	uint32_t mode = (uint32_t)p9_get(in, 4);

	(void)p9_get(in, 4);
	if (error == 0)
		error = in->bad ? EINVAL : made(s, &e, mkdirat(e.fd, e.name, p9_mode(mode)), out);
	put_entry(&e);
	return (error);
}

int
p9_link(struct p9 *s, struct p9_in *in, struct p9_out *out)
{
	struct p9_fid *dir, *f;
	char name[NAME_MAX + 1], path[32];
	int error = get_fid(s, in, &dir), dfd, fd;

	if (error == 0)
		error = get_fid(s, in, &f);
	if (error == 0)
		error = p9_get_name(in, name);
	if (error != 0)
		return (error);
	dfd = p9_open_path(s, dir->path);
	fd = p9_open_fid(s, f);
	if (dfd < 0 || fd < 0) {
		error = dfd < 0 ? -dfd : -fd;
	} else {
		p9_proc(fd, path);
		if (linkat(AT_FDCWD, path, dfd, name, AT_SYMLINK_FOLLOW) != 0)
			error = errno;
	}
	if (dfd >= 0)
		close(dfd);
	if (fd >= 0)
		close(fd);
	return (error);
}

int
p9_readlink(struct p9 *s, struct p9_in *in, struct p9_out *out)
{
	struct p9_fid *f;
	char target[PATH_MAX];
	int error = get_fid(s, in, &f), fd;
	ssize_t n;

	if (error != 0)
		return (error);
	fd = p9_open_fid(s, f);
	if (fd < 0)
		return (-fd);
	n = readlinkat(fd, "", target, sizeof(target) - 1);
	error = n < 0 ? errno : 0;
	close(fd);
	if (error != 0)
		return (error == ENOENT ? EINVAL : error);
	target[n] = '\0';
	p9_put_string(out, target);
	return (0);
}

/* Moved and removed */

/* What fids had the old path, or one beneath it, have the new one. */
static void
moved(struct p9 *s, const char *from, const char *to)
{
	size_t len = strlen(from);
	char path[PATH_MAX];

	for (unsigned i = 0; i < P9_BUCKETS; i++) {
		for (struct p9_fid *f = s->bucket[i]; f != NULL; f = f->next) {
			if (f->path == NULL || strncmp(f->path, from, len) != 0 || (f->path[len] != '\0' && f->path[len] != '/'))
				continue;
			if (snprintf(path, sizeof(path), "%s%s", to, f->path + len) >= (int)sizeof(path) ||
			    p9_fid_set_path(s, f, path) != 0) {
				s->memory -= strlen(f->path) + 1;
				free(f->path);
				f->path = NULL;
			}
		}
	}
}

static int
move(struct p9 *s, const struct entry *from, const struct entry *to)
{
	if (renameat(from->fd, from->name, to->fd, to->name) != 0)
		return (errno);
	moved(s, from->path, to->path);
	return (0);
}

int
p9_renameat(struct p9 *s, struct p9_in *in, struct p9_out *out)
{
	struct entry from, to = { .fd = -1 };
	int error = get_entry(s, in, &from);

	if (error == 0)
		error = get_entry(s, in, &to);
	if (error == 0)
		error = move(s, &from, &to);
	put_entry(&from);
	put_entry(&to);
	return (error);
}

/* The folder and name of a fid; of the shared folder itself there is none. */
static int
entry_of(struct p9 *s, struct p9_fid *f, struct entry *e)
{
	const char *slash = strrchr(f->path, '/');
	char dir[PATH_MAX] = "";

	e->fd = -1;
	if (f->path[0] == '\0')
		return (EBUSY);
	if (slash != NULL)
		memcpy(dir, f->path, (size_t)(slash - f->path));
	(void)snprintf(e->name, sizeof(e->name), "%s", slash != NULL ? slash + 1 : f->path);
	memcpy(e->path, f->path, strlen(f->path) + 1);
	e->fd = p9_open_path(s, dir);
	return (e->fd >= 0 ? 0 : -e->fd);
}

int
p9_rename(struct p9 *s, struct p9_in *in, struct p9_out *out)
{
	struct entry from = { .fd = -1 }, to = { .fd = -1 };
	struct p9_fid *f;
	int error = get_fid(s, in, &f);

	if (error == 0)
		error = get_entry(s, in, &to);
	if (error == 0)
		error = entry_of(s, f, &from);
	if (error == 0)
		error = move(s, &from, &to);
	put_entry(&from);
	put_entry(&to);
	return (error);
}

int
p9_unlinkat(struct p9 *s, struct p9_in *in, struct p9_out *out)
{
	struct entry e;
	int error = get_entry(s, in, &e);
	uint32_t flags = (uint32_t)p9_get(in, 4);

	if (error == 0 && (in->bad || (flags & ~REMOVEDIR) != 0))
		error = EINVAL;
	if (error == 0 && unlinkat(e.fd, e.name, (flags & REMOVEDIR) != 0 ? AT_REMOVEDIR : 0) != 0)
		error = errno;
	put_entry(&e);
	return (error);
}

/* The fid is gone even if there is an error. */
int
p9_remove(struct p9 *s, struct p9_in *in, struct p9_out *out)
{
	struct entry e = { .fd = -1 };
	struct p9_fid *f = p9_fid(s, (uint32_t)p9_get(in, 4));
	int error;

	if (f == NULL || in->bad)
		return (EBADF);
	error = f->kind != P9_PLAIN || f->path == NULL ? EBADF : entry_of(s, f, &e);
	if (error == 0 && unlinkat(e.fd, e.name, 0) != 0)
		error = errno == EISDIR && unlinkat(e.fd, e.name, AT_REMOVEDIR) == 0 ? 0 : errno;
	put_entry(&e);
	p9_fid_remove(s, f->fid);
	return (error);
}
