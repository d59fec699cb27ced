/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * p9_internal.h - between p9.c (messages and fids), p9_tree.c (names, attributes) and p9_file.c (open files).
 *
 * Functions return 0 or an errno of Linux, which is what the protocol has.
 */
#ifndef _HYVE_P9_INTERNAL_H_
#define	_HYVE_P9_INTERNAL_H_

#include <sys/stat.h>
#include <sys/types.h>

#include <limits.h>

#include "p9.h"

#define	P9_FIDS_MAX	16384U
#define	P9_FILES_MAX	512U		/* open, of all servers: descriptors are the process's */
#define	P9_MEMORY_MAX	(16U << 20)	/* of paths and extended attributes */
#define	P9_BUCKETS	1024U

/* Bytes of a request.  What is not there is 0, and bad is set. */
struct p9_in {
	const uint8_t	*p;
	size_t		 left;
	bool		 bad;
};

/* Bytes of a reply; full is set when there were too many. */
struct p9_out {
	uint8_t		*p;
	size_t		 len, max;
	bool		 full;
};

enum p9_kind { P9_PLAIN, P9_XATTR_READ, P9_XATTR_WRITE };

struct p9_fid {
	struct p9_fid	*next;		/* in its bucket */
	uint32_t	 fid;
	enum p9_kind	 kind;
	char		*path;		/* from the folder, "" for itself; NULL: lost by a rename that made it too long */
	int		 fd;		/* open, or -1 */
	bool		 dir;		/* what is open */
	/* an extended attribute: its value, or what of it was written yet */
	char		 name[NAME_MAX + 1];
	int		 flags;
	uint8_t		*value;
	size_t		 len;
};

struct p9 {
	int		 root;		/* O_PATH */
	dev_t		 dev;		/* its file system and number */
	ino_t		 ino;
	bool		 readonly;
	uint32_t	 msize;		/* 0: no session */
	struct p9_fid	*bucket[P9_BUCKETS];
	unsigned	 nfids;
	size_t		 memory;
};

/* Wire (intro(5) of the 9P manual: little-endian). */
uint64_t p9_get(struct p9_in *in, unsigned n);
/* A string as a C string in buf; bad if it is too long or has a NUL. */
void	p9_get_string(struct p9_in *in, char *buf, size_t max);
void	p9_put(struct p9_out *out, uint64_t v, unsigned n);
void	p9_put_bytes(struct p9_out *out, const void *p, size_t n);
void	p9_put_string(struct p9_out *out, const char *s);
void	p9_put_qid(struct p9_out *out, const struct p9 *s, const struct stat *st);
/* The number that a file has in the protocol. */
uint64_t p9_qid_path(const struct p9 *s, dev_t dev, ino_t ino);

/* Fids */
struct p9_fid *p9_fid(const struct p9 *s, uint32_t fid);
/* A new one for a path, which is copied. */
int	p9_fid_add(struct p9 *s, uint32_t fid, const char *path, struct p9_fid **f);
int	p9_fid_set_path(struct p9 *s, struct p9_fid *f, const char *path);
/* Memory for a value of so many bytes. */
int	p9_fid_value(struct p9 *s, struct p9_fid *f, size_t len);
void	p9_fid_remove(struct p9 *s, uint32_t fid);
/* Whether one more file may be opened; a fid has what was opened. */
bool	p9_may_open(void);
void	p9_fid_opened(struct p9_fid *f, int fd, bool dir);

/* p9_tree.c */

/* A descriptor (O_PATH) of what is at a path; -errno. */
int	p9_open_path(const struct p9 *s, const char *path);
/* The same of a fid, by its open file if it has one. */
int	p9_open_fid(const struct p9 *s, const struct p9_fid *f);
/* A name of the client's for a file that is there or not; "" and what is more than one component are none. */
int	p9_get_name(struct p9_in *in, char name[NAME_MAX + 1]);
int	p9_join(const char *dir, const char *name, char path[PATH_MAX]);
/* The name by which the kernel opens what a descriptor has. */
void	p9_proc(int fd, char buf[32]);
/* Mode bits that a client can set. */
mode_t	p9_mode(uint32_t mode);

int	p9_attach(struct p9 *s, struct p9_in *in, struct p9_out *out);
int	p9_walk(struct p9 *s, struct p9_in *in, struct p9_out *out);
int	p9_getattr(struct p9 *s, struct p9_in *in, struct p9_out *out);
int	p9_setattr(struct p9 *s, struct p9_in *in, struct p9_out *out);
int	p9_statfs(struct p9 *s, struct p9_in *in, struct p9_out *out);
int	p9_symlink(struct p9 *s, struct p9_in *in, struct p9_out *out);
int	p9_mknod(struct p9 *s, struct p9_in *in, struct p9_out *out);
int	p9_mkdir(struct p9 *s, struct p9_in *in, struct p9_out *out);
int	p9_link(struct p9 *s, struct p9_in *in, struct p9_out *out);
int	p9_readlink(struct p9 *s, struct p9_in *in, struct p9_out *out);
int	p9_rename(struct p9 *s, struct p9_in *in, struct p9_out *out);
int	p9_renameat(struct p9 *s, struct p9_in *in, struct p9_out *out);
int	p9_unlinkat(struct p9 *s, struct p9_in *in, struct p9_out *out);
int	p9_remove(struct p9 *s, struct p9_in *in, struct p9_out *out);

/* p9_file.c */

int	p9_lopen(struct p9 *s, struct p9_in *in, struct p9_out *out);
int	p9_lcreate(struct p9 *s, struct p9_in *in, struct p9_out *out);
int	p9_read(struct p9 *s, struct p9_in *in, struct p9_out *out);
int	p9_write(struct p9 *s, struct p9_in *in, struct p9_out *out);
int	p9_readdir(struct p9 *s, struct p9_in *in, struct p9_out *out);
int	p9_fsync(struct p9 *s, struct p9_in *in, struct p9_out *out);
int	p9_lock(struct p9 *s, struct p9_in *in, struct p9_out *out);
int	p9_getlock(struct p9 *s, struct p9_in *in, struct p9_out *out);
int	p9_xattrwalk(struct p9 *s, struct p9_in *in, struct p9_out *out);
int	p9_xattrcreate(struct p9 *s, struct p9_in *in, struct p9_out *out);
/* What clunk does to an attribute that was written. */
int	p9_xattr_finish(struct p9 *s, struct p9_fid *f);

#endif /* _HYVE_P9_INTERNAL_H_ */
