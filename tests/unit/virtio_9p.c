/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virtio_9p.c - the server of 9P2000.L by its messages, how it keeps to its folder, and the device around it.
 */
#include <sys/stat.h>
#include <sys/xattr.h>

#include <fcntl.h>
#include <unistd.h>

#include "9p/p9.h"
#include "vq_driver.h"

enum {
	T_STATFS = 8, T_LOPEN = 12, T_LCREATE = 14, T_SYMLINK = 16, T_MKNOD = 18, T_RENAME = 20, T_READLINK = 22, T_GETATTR = 24,
	T_SETATTR = 26, T_XATTRWALK = 30, T_XATTRCREATE = 32, T_READDIR = 40, T_FSYNC = 50, T_LOCK = 52, T_GETLOCK = 54, T_LINK = 70,
	T_MKDIR = 72, T_RENAMEAT = 74, T_UNLINKAT = 76, T_VERSION = 100, T_AUTH = 102, T_ATTACH = 104, T_FLUSH = 108, T_WALK = 110,
	T_READ = 116, T_WRITE = 118, T_CLUNK = 120, T_REMOVE = 122,
};

#define	ROOT		1
#define	NOFID		UINT32_MAX
#define	MAX		65536U

static char dir[] = "/tmp/hyve-9p-XXXXXX";
static char share[40], path[160];
static struct p9 *s;
static uint8_t msg[MAX], reply[MAX];
static size_t msglen, replylen, at;

/* The host's side. */
static const char *
in(const char *name)
{
	(void)snprintf(path, sizeof(path), "%s/%s", share, name);
	return (path);
}

static void
make_file(const char *name, const char *text)
{
	int fd = open(in(name), O_WRONLY | O_CREAT | O_TRUNC, 0644);

	CHECK(fd >= 0);
	CHECK_EQ(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	CHECK_EQ(close(fd), 0);
}

static void
check_file(const char *name, const char *text)
{
	char buf[256] = "";
	int fd = open(in(name), O_RDONLY);
	ssize_t n;

	CHECKF(fd >= 0, "%s is not there", name);
	n = read(fd, buf, sizeof(buf) - 1);
	CHECK(n >= 0);
	CHECK_EQ(close(fd), 0);
	CHECKF(strcmp(buf, text) == 0, "%s has '%s'", name, buf);
}

static bool
exists(const char *name)
{
	struct stat st;

	return (lstat(in(name), &st) == 0);
}

/* A folder with a secret beside it. */
static void
make_folder(void)
{
	CHECK(mkdtemp(dir) != NULL);
	(void)snprintf(share, sizeof(share), "%s/share", dir);
	CHECK_EQ(mkdir(share, 0755), 0);
	CHECK_EQ(mkdir(in("sub"), 0755), 0);
	CHECK_EQ(mkdir(in("../beside"), 0755), 0);
	make_file("../beside/secret", "secret");
	make_file("hello", "hello, guest");
	make_file("sub/deep", "deep");
	CHECK_EQ(symlink("../beside/secret", in("link")), 0);
	CHECK_EQ(symlink("../beside", in("up")), 0);
	CHECK_EQ(symlink("/", in("slash")), 0);
	CHECK_EQ(symlink("sub", in("inside")), 0);
}

static void
remove_folder(void)
{
	char command[128];

	(void)snprintf(command, sizeof(command), "rm -rf %s", dir);
	CHECK_EQ(system(command), 0);
}

/* Messages */

static void
put(uint64_t v, unsigned n)
{
	memcpy(msg + msglen, &v, n);
	msglen += n;
}

static void
puts9(const char *text)
{
	put(strlen(text), 2);
	memcpy(msg + msglen, text, strlen(text));
	msglen += strlen(text);
}

static void
begin(unsigned type)
{
	msglen = 0;
	put(0, 4);
	put(type, 1);
	put(0x1234, 2);
}

static uint64_t
get(unsigned n)
{
	uint64_t v = 0;

	CHECK(at + n <= replylen);
	memcpy(&v, reply + at, n);
	at += n;
	return (v);
}

/* The error of the reply, or 0; what follows is for get(). */
static int
ask(void)
{
	uint32_t len = (uint32_t)msglen;

	memcpy(msg, &len, 4);
	replylen = p9_request(s, msg, msglen, reply, sizeof(reply));
	CHECK(replylen >= 7);
	at = 0;
	CHECK_EQ(get(4), replylen);
	if (reply[4] != 7)
		CHECK_EQ(reply[4], msg[4] + 1);
	(void)get(1);
	CHECK_EQ(get(2), 0x1234);
	return (reply[4] == 7 ? (int)get(4) : 0);
}

static int
start(uint32_t msize)
{
	int error;

	begin(T_VERSION);
	put(msize, 4);
	puts9("9P2000.L");
	error = ask();
	if (error != 0)
		return (error);
	CHECK(get(4) <= msize);
	CHECK_EQ(get(2), 8);
	begin(T_ATTACH);
	put(ROOT, 4);
	put(NOFID, 4);
	puts9("root");
	puts9("");
	put(0, 4);
	return (ask());
}

/* Walk from the folder by up to three names. */
static int
walk(uint32_t from, uint32_t fid, const char *a, const char *b, const char *c)
{
	unsigned n = (a != NULL) + (b != NULL) + (c != NULL);
	int error;

	begin(T_WALK);
	put(from, 4);
	put(fid, 4);
	put(n, 2);
	if (a != NULL)
		puts9(a);
	if (b != NULL)
		puts9(b);
	if (c != NULL)
		puts9(c);
	error = ask();
	if (error != 0)
		return (error);
	return (get(2) == n ? 0 : -1);
}

static int
simple(unsigned type, uint32_t fid)
{
	begin(type);
	put(fid, 4);
	return (ask());
}

static int
lopen(uint32_t fid, uint32_t flags)
{
	begin(T_LOPEN);
	put(fid, 4);
	put(flags, 4);
	return (ask());
}

static int
lcreate(uint32_t fid, const char *name, uint32_t flags, uint32_t mode)
{
	begin(T_LCREATE);
	put(fid, 4);
	puts9(name);
	put(flags, 4);
	put(mode, 4);
	put(0, 4);
	return (ask());
}

static int
writes(uint32_t fid, uint64_t off, const char *text)
{
	begin(T_WRITE);
	put(fid, 4);
	put(off, 8);
	put(strlen(text), 4);
	memcpy(msg + msglen, text, strlen(text));
	msglen += strlen(text);
	return (ask());
}

static int
reads(uint32_t fid, uint64_t off, uint32_t n)
{
	begin(T_READ);
	put(fid, 4);
	put(off, 8);
	put(n, 4);
	return (ask());
}

/* A request of a folder's fid, a name and some numbers of four bytes. */
static int
named(unsigned type, uint32_t fid, const char *name, unsigned n, const uint32_t *numbers)
{
	begin(type);
	put(fid, 4);
	puts9(name);
	for (unsigned i = 0; i < n; i++)
		put(numbers[i], 4);
	return (ask());
}

static void
setup(bool readonly)
{
	make_folder();
	s = p9_open("test", share, readonly);
	CHECKF(s != NULL, "%s", vmm_errmsg());
	CHECK_EQ(start(MAX), 0);
}

static void
finish(void)
{
	p9_close(s);
	remove_folder();
}

TEST(sessions)
{
	make_folder();
	CHECK(p9_open("test", in("hello"), false) == NULL);
	CHECK_HAS(vmm_errmsg(), "test: cannot share '");
	CHECK(p9_open("test", in("missing"), false) == NULL);
	s = p9_open("test", share, false);
	CHECK_EQ(walk(ROOT, 2, NULL, NULL, NULL), EPROTO);		/* before a session */
	CHECK_EQ(start(4095), EINVAL);
	CHECK_EQ(start(8192), 0);
	CHECK_EQ(p9_msize(s), 8192);
	CHECK_EQ(walk(ROOT, 2, "hello", NULL, NULL), 0);
	CHECK_EQ(p9_fids(s), 2);
	/* A new one ends the old one. */
	begin(T_VERSION);
	put(UINT32_MAX, 4);
	puts9("9P2000.u");
	CHECK_EQ(ask(), 0);
	CHECK_EQ(get(4), P9_MSIZE_MAX);
	CHECK_EQ(get(2), 7);
	CHECK(memcmp(reply + at, "unknown", 7) == 0);
	CHECK_EQ(p9_fids(s), 0);
	CHECK_EQ(start(8192), 0);
	begin(T_AUTH);
	put(5, 4);
	puts9("root");
	puts9("");
	put(0, 4);
	CHECK_EQ(ask(), EOPNOTSUPP);
	begin(T_FLUSH);
	put(7, 2);
	CHECK_EQ(ask(), 0);
	begin(99);
	CHECK_EQ(ask(), EOPNOTSUPP);
	finish();
}

TEST(walks)
{
	setup(false);
	CHECK_EQ(walk(ROOT, 2, "sub", "deep", NULL), 0);
	CHECK_EQ(walk(ROOT, 2, "hello", NULL, NULL), EBADF);		/* in use */
	CHECK_EQ(walk(9, 3, NULL, NULL, NULL), EBADF);
	CHECK_EQ(walk(ROOT, 3, "missing", NULL, NULL), ENOENT);
	CHECK_EQ(walk(ROOT, 3, "sub", "missing", "x"), -1);		/* as far as it comes */
	CHECK_EQ(simple(T_CLUNK, 3), EBADF);
	CHECK_EQ(walk(2, 2, "..", "..", "hello"), 0);
	CHECK_EQ(walk(2, 3, "x", NULL, NULL), ENOTDIR);
	CHECK_EQ(walk(ROOT, 3, ".", NULL, NULL), EINVAL);
	CHECK_EQ(walk(ROOT, 3, "", NULL, NULL), EINVAL);
	CHECK_EQ(walk(ROOT, 3, "sub/deep", NULL, NULL), EINVAL);
	CHECK_EQ(simple(T_CLUNK, 2), 0);
	CHECK_EQ(p9_fids(s), 1);
	finish();
}

/* The inode of what a fid is at, by its attributes. */
static uint64_t
inode(uint32_t fid)
{
	begin(T_GETATTR);
	put(fid, 4);
	put(0x7ff, 8);
	CHECK_EQ(ask(), 0);
	(void)get(8);
	(void)get(1);
	(void)get(4);
	return (get(8));
}

/* Out of the folder there is no way. */
TEST(confinement)
{
	static const char *const names[] = { "link", "up", "slash" };
	struct stat st;
	char was[80];

	setup(false);
	/* Above the folder is the folder. */
	CHECK_EQ(stat(share, &st), 0);
	CHECK_EQ(walk(ROOT, 2, "..", "..", ".."), 0);
	CHECK_EQ(inode(2), st.st_ino);
	CHECK_EQ(walk(ROOT, 3, "..", "beside", NULL), -1);
	CHECK_EQ(walk(ROOT, 3, "../beside", NULL, NULL), EINVAL);
	for (unsigned i = 0; i < 3; i++) {
		/* A link can be had, and neither opened nor gone through. */
		CHECK_EQ(walk(ROOT, 3, names[i], NULL, NULL), 0);
		CHECK_EQ(lopen(3, 0), EACCES);
		CHECK_EQ(lcreate(3, "x", 2, 0644), ENOTDIR);
		CHECK_EQ(simple(T_CLUNK, 3), 0);
		CHECK_EQ(walk(ROOT, 3, names[i], "secret", NULL), -1);
		CHECK_EQ(named(T_UNLINKAT, 2, names[i], 1, (uint32_t[]){ 0x200 }), ENOTDIR);
	}
	/* Nor one inside, which is the client's to follow. */
	CHECK_EQ(walk(ROOT, 3, "inside", "deep", NULL), -1);
	/* Through a name that a host's program exchanges for a link meanwhile. */
	CHECK_EQ(walk(ROOT, 3, "sub", NULL, NULL), 0);
	(void)snprintf(was, sizeof(was), "%s/was", share);
	CHECK_EQ(rename(in("sub"), was), 0);
	CHECK_EQ(symlink("../beside", in("sub")), 0);
	CHECK_EQ(walk(3, 4, "secret", NULL, NULL), ELOOP);
	CHECK_EQ(lcreate(3, "made", 2, 0644), ENOTDIR);
	CHECK_EQ(lopen(3, 0), EACCES);
	CHECK(!exists("../beside/made"));
	/* Names that would lead up in what changes the tree. */
	CHECK_EQ(named(T_UNLINKAT, ROOT, "../beside/secret", 1, (uint32_t[]){ 0 }), EINVAL);
	CHECK_EQ(named(T_UNLINKAT, ROOT, "..", 1, (uint32_t[]){ 0x200 }), EINVAL);
	CHECK_EQ(named(T_MKDIR, ROOT, "../beside/dir", 2, (uint32_t[]){ 0755, 0 }), EINVAL);
	CHECK_EQ(lcreate(ROOT, "../beside/made", 2, 0644), EINVAL);
	/* A new file over a link goes where the link is, not where it leads. */
	CHECK_EQ(lcreate(ROOT, "link", 2, 0644), EEXIST);
	check_file("../beside/secret", "secret");
	finish();
}

TEST(files)
{
	setup(false);
	CHECK_EQ(walk(ROOT, 2, "hello", NULL, NULL), 0);
	CHECK_EQ(reads(2, 0, 10), EBADF);		/* not open */
	CHECK_EQ(lopen(2, 3), EINVAL);
	CHECK_EQ(lopen(2, 2), 0);
	CHECK_EQ(lopen(2, 2), EBADF);
	CHECK_EQ(reads(2, 7, 100), 0);
	CHECK_EQ(get(4), 5);
	CHECK(memcmp(reply + at, "guest", 5) == 0);
	CHECK_EQ(reads(2, 1000, 100), 0);
	CHECK_EQ(get(4), 0);
	CHECK_EQ(reads(2, UINT64_MAX, 100), EINVAL);
	CHECK_EQ(writes(2, 7, "world!"), 0);
	CHECK_EQ(get(4), 6);
	check_file("hello", "hello, world!");
	begin(T_FSYNC);
	put(2, 4);
	put(1, 4);
	CHECK_EQ(ask(), 0);
	/* What is open is there after its name has gone. */
	CHECK_EQ(named(T_UNLINKAT, ROOT, "hello", 1, (uint32_t[]){ 0 }), 0);
	CHECK(!exists("hello"));
	CHECK_EQ(reads(2, 0, 5), 0);
	CHECK(inode(2) != 0);
	CHECK_EQ(simple(T_CLUNK, 2), 0);
	/* New ones. */
	CHECK_EQ(walk(ROOT, 2, NULL, NULL, NULL), 0);
	CHECK_EQ(lcreate(2, "new", 0301 | 2, 04755), EINVAL);		/* access mode 3 */
	CHECK_EQ(lcreate(2, "new", 0302, 04755), 0);
	CHECK_EQ(writes(2, 0, "abc"), 0);
	check_file("new", "abc");
	CHECK_EQ(walk(ROOT, 3, NULL, NULL, NULL), 0);
	CHECK_EQ(lcreate(3, "new", 0302, 0644), EEXIST);
	CHECK_EQ(lcreate(3, "new", 01101, 0644), 0);			/* truncated */
	check_file("new", "");
	CHECK_EQ(reads(3, 0, 1), EBADF);				/* write only */
	/* A count that lies. */
	begin(T_WRITE);
	put(3, 4);
	put(0, 8);
	put(1000, 4);
	put(0, 4);
	CHECK_EQ(ask(), EINVAL);
	finish();
}

/* No file that runs as its owner, no device, nothing that waits. */
TEST(files_of_the_host)
{
	struct stat st;

	setup(false);
	CHECK_EQ(mkfifo(in("pipe"), 0644), 0);
	CHECK_EQ(walk(ROOT, 2, "pipe", NULL, NULL), 0);
	CHECK_EQ(lopen(2, 0), EACCES);
	CHECK_EQ(walk(ROOT, 3, NULL, NULL, NULL), 0);
	CHECK_EQ(lcreate(3, "pipe", 1, 0644), EEXIST);
	CHECK_EQ(lcreate(3, "suid", 2, 06755), 0);
	CHECK_EQ(stat(in("suid"), &st), 0);
	CHECK_EQ(st.st_mode & (S_ISUID | S_ISGID), 0);
	begin(T_SETATTR);
	put(3, 4);
	put(1, 4);
	put(06755, 4);
	for (unsigned i = 0; i < 2; i++)
		put(0, 4);
	for (unsigned i = 0; i < 5; i++)
		put(0, 8);
	CHECK_EQ(ask(), 0);
	CHECK_EQ(stat(in("suid"), &st), 0);
	CHECK_EQ(st.st_mode & 07777, 0755);
	CHECK_EQ(named(T_MKNOD, ROOT, "null", 4, (uint32_t[]){ S_IFCHR | 0644, 1, 3, 0 }), EPERM);
	CHECK_EQ(named(T_MKNOD, ROOT, "disk", 4, (uint32_t[]){ S_IFBLK | 0644, 8, 0, 0 }), EPERM);
	CHECK_EQ(named(T_MKNOD, ROOT, "sock", 4, (uint32_t[]){ S_IFSOCK | 0644, 0, 0, 0 }), 0);
	CHECK_EQ(named(T_MKNOD, ROOT, "fifo", 4, (uint32_t[]){ S_IFIFO | 0644, 0, 0, 0 }), 0);
	CHECK_EQ(stat(in("fifo"), &st), 0);
	CHECK(S_ISFIFO(st.st_mode));
	finish();
}

TEST(names)
{
	struct stat st;

	setup(false);
	CHECK_EQ(named(T_MKDIR, ROOT, "d", 2, (uint32_t[]){ 0755, 0 }), 0);
	CHECK_EQ(walk(ROOT, 2, "d", NULL, NULL), 0);
	CHECK_EQ(lcreate(2, "f", 2, 0644), 0);
	CHECK_EQ(writes(2, 0, "f"), 0);
	CHECK_EQ(walk(ROOT, 3, "d", "f", NULL), 0);
	CHECK_EQ(walk(ROOT, 4, "d", NULL, NULL), 0);
	/* A folder moves, and fids in it with it. */
	begin(T_RENAMEAT);
	put(ROOT, 4);
	puts9("d");
	put(ROOT, 4);
	puts9("e");
	CHECK_EQ(ask(), 0);
	CHECK(exists("e/f") && !exists("d"));
	CHECK_EQ(lopen(3, 0), 0);
	CHECK_EQ(walk(4, 5, "f", NULL, NULL), 0);
	begin(T_RENAME);
	put(5, 4);
	put(ROOT, 4);
	puts9("g");
	CHECK_EQ(ask(), 0);
	check_file("g", "f");
	CHECK_EQ(lopen(5, 0), 0);
	/* Links. */
	begin(T_LINK);
	put(ROOT, 4);
	put(5, 4);
	puts9("h");
	CHECK_EQ(ask(), 0);
	CHECK_EQ(stat(in("h"), &st), 0);
	CHECK_EQ(st.st_nlink, 2);
	begin(T_SYMLINK);
	put(ROOT, 4);
	puts9("soft");
	puts9("any/where");
	put(0, 4);
	CHECK_EQ(ask(), 0);
	CHECK_EQ(get(1), 2);
	CHECK_EQ(walk(ROOT, 6, "soft", NULL, NULL), 0);
	CHECK_EQ(simple(T_READLINK, 6), 0);
	CHECK_EQ(get(2), 9);
	CHECK(memcmp(reply + at, "any/where", 9) == 0);
	CHECK_EQ(simple(T_READLINK, 5), EINVAL);
	/* Removed. */
	CHECK_EQ(named(T_UNLINKAT, ROOT, "e", 1, (uint32_t[]){ 0 }), EISDIR);
	CHECK_EQ(named(T_UNLINKAT, ROOT, "sub", 1, (uint32_t[]){ 0x200 }), ENOTEMPTY);
	CHECK_EQ(named(T_UNLINKAT, ROOT, "e", 1, (uint32_t[]){ 0x200 }), 0);
	CHECK_EQ(named(T_UNLINKAT, ROOT, "h", 1, (uint32_t[]){ 1 }), EINVAL);
	CHECK_EQ(simple(T_REMOVE, 6), 0);
	CHECK(!exists("soft"));
	CHECK_EQ(simple(T_CLUNK, 6), EBADF);
	CHECK_EQ(simple(T_REMOVE, ROOT), EBUSY);
	CHECK_EQ(simple(T_CLUNK, ROOT), EBADF);		/* removing ends the fid in any case */
	finish();
}

TEST(attributes)
{
	struct stat st;

	setup(false);
	CHECK_EQ(walk(ROOT, 2, "hello", NULL, NULL), 0);
	CHECK_EQ(stat(in("hello"), &st), 0);
	begin(T_GETATTR);
	put(2, 4);
	put(0x7ff, 8);
	CHECK_EQ(ask(), 0);
	CHECK_EQ(get(8), 0x7ff);
	CHECK_EQ(get(1), 0);
	(void)get(4);
	CHECK_EQ(get(8), st.st_ino);
	CHECK_EQ(get(4), st.st_mode);
	CHECK_EQ(get(4), st.st_uid);
	CHECK_EQ(get(4), st.st_gid);
	CHECK_EQ(get(8), 1);
	CHECK_EQ(get(8), st.st_rdev);
	CHECK_EQ(get(8), 12);
	CHECK_EQ(replylen, 7 + 153);
	/* Size and times. */
	begin(T_SETATTR);
	put(2, 4);
	put(0x8 | 0x10 | 0x20 | 0x80 | 0x100, 4);
	for (unsigned i = 0; i < 3; i++)
		put(0, 4);
	put(5, 8);
	put(1000, 8);
	put(1, 8);
	put(2000, 8);
	put(2, 8);
	CHECK_EQ(ask(), 0);
	check_file("hello", "hello");
	CHECK_EQ(stat(in("hello"), &st), 0);
	CHECK_EQ(st.st_mtim.tv_sec, 2000);
	CHECK_EQ(st.st_mtim.tv_nsec, 2);
	/* What is not to be set may be anything; what is, not. */
	for (unsigned i = 0; i < 2; i++) {
		begin(T_SETATTR);
		put(2, 4);
		put(0x1 | (i == 0 ? 0 : 0x20 | 0x100), 4);
		put(0600, 4);
		for (unsigned j = 0; j < 2; j++)
			put(UINT32_MAX, 4);
		for (unsigned j = 0; j < 5; j++)
			put(UINT64_MAX, 8);
		CHECK_EQ(ask(), i == 0 ? 0 : EINVAL);
	}
	CHECK_EQ(stat(in("hello"), &st), 0);
	CHECK_EQ(st.st_mode & 07777, 0600);
	CHECK(st.st_size == 5 && st.st_mtim.tv_sec == 2000);
	CHECK_EQ(simple(T_STATFS, 2), 0);
	CHECK_EQ(get(4), 0x01021997);
	finish();
}

/* Every entry once, in messages as small as may be. */
TEST(folders)
{
	unsigned seen[500] = { 0 }, dots = 0;
	uint64_t off = 0;
	char name[64];

	setup(false);
	for (unsigned i = 0; i < 500; i++) {
		(void)snprintf(name, sizeof(name), "sub/entry-%u", i);
		make_file(name, "");
	}
	CHECK_EQ(unlink(in("sub/deep")), 0);
	CHECK_EQ(walk(ROOT, 2, "sub", NULL, NULL), 0);
	CHECK_EQ(lopen(2, 1), EISDIR);
	CHECK_EQ(lopen(2, 0), 0);
	for (;;) {
		size_t end;

		begin(T_READDIR);
		put(2, 4);
		put(off, 8);
		put(100, 4);
		CHECK_EQ(ask(), 0);
		end = (size_t)get(4);
		CHECK(end <= 100);
		if (end == 0)
			break;
		end += at;
		while (at < end) {
			size_t len;
			unsigned n;

			(void)get(1);
			(void)get(4);
			(void)get(8);
			off = get(8);
			(void)get(1);
			len = (size_t)get(2);
			CHECK(len < sizeof(name) && at + len <= end);
			memcpy(name, reply + at, len);
			name[len] = '\0';
			at += len;
			if (name[0] == '.')
				dots++;
			else {
				CHECK_EQ(sscanf(name, "entry-%u", &n), 1);
				CHECK(n < 500);
				seen[n]++;
			}
		}
	}
	CHECK_EQ(dots, 2);
	for (unsigned i = 0; i < 500; i++)
		CHECK_EQ(seen[i], 1);
	/* Where nothing fits, an end is not told. */
	begin(T_READDIR);
	put(2, 4);
	put(0, 8);
	put(10, 4);
	CHECK_EQ(ask(), EINVAL);
	CHECK_EQ(reads(2, 0, 10), EISDIR);
	finish();
}

static int
lock(uint32_t fid, unsigned type, uint64_t from, uint64_t len)
{
	begin(T_LOCK);
	put(fid, 4);
	put(type, 1);
	put(0, 4);
	put(from, 8);
	put(len, 8);
	put(1, 4);
	puts9("guest");
	CHECK_EQ(ask(), 0);
	return ((int)get(1));
}

TEST(locks)
{
	setup(false);
	for (uint32_t fid = 2; fid < 4; fid++) {
		CHECK_EQ(walk(ROOT, fid, "hello", NULL, NULL), 0);
		CHECK_EQ(lopen(fid, 2), 0);
	}
	CHECK_EQ(lock(2, 1, 0, 4), 0);
	CHECK_EQ(lock(3, 1, 2, 4), 1);			/* somebody has it */
	CHECK_EQ(lock(3, 1, 4, 4), 0);
	begin(T_GETLOCK);
	put(3, 4);
	put(0, 1);
	put(0, 8);
	put(0, 8);
	put(1, 4);
	puts9("guest");
	CHECK_EQ(ask(), 0);
	CHECK_EQ(get(1), 1);
	CHECK_EQ(get(8), 0);
	CHECK_EQ(get(8), 4);
	CHECK_EQ(lock(2, 2, 0, 0), 0);
	CHECK_EQ(lock(3, 1, 0, 0), 0);
	CHECK_EQ(simple(T_CLUNK, 3), 0);		/* goes with its fid */
	CHECK_EQ(lock(2, 0, 0, 0), 0);
	finish();
}

TEST(extended_attributes)
{
	char value[16] = "";

	setup(false);
	CHECK_EQ(walk(ROOT, 2, "hello", NULL, NULL), 0);
	if (setxattr(in("hello"), "user.a", "host", 4, 0) != 0) {
		finish();
		SKIP("the file system of /tmp has no extended attributes");
	}
	begin(T_XATTRWALK);
	put(2, 4);
	put(3, 4);
	puts9("user.a");
	CHECK_EQ(ask(), 0);
	CHECK_EQ(get(8), 4);
	CHECK_EQ(reads(3, 1, 10), 0);
	CHECK_EQ(get(4), 3);
	CHECK(memcmp(reply + at, "ost", 3) == 0);
	CHECK_EQ(walk(3, 4, NULL, NULL, NULL), EBADF);
	CHECK_EQ(lopen(3, 0), EBADF);
	begin(T_XATTRWALK);
	put(2, 4);
	put(4, 4);
	puts9("");
	CHECK_EQ(ask(), 0);
	CHECK_EQ(get(8), 7);
	begin(T_XATTRWALK);
	put(2, 4);
	put(5, 4);
	puts9("security.capability");
	CHECK_EQ(ask(), EOPNOTSUPP);
	begin(T_XATTRCREATE);
	put(2, 4);
	puts9("trusted.x");
	put(4, 8);
	put(0, 4);
	CHECK_EQ(ask(), EOPNOTSUPP);
	begin(T_XATTRCREATE);
	put(2, 4);
	puts9("user.b");
	put(5, 8);
	put(0, 4);
	CHECK_EQ(ask(), 0);
	CHECK_EQ(writes(2, 0, "gue"), 0);
	CHECK_EQ(writes(2, 3, "sts"), ENOSPC);
	CHECK_EQ(writes(2, 3, "st"), 0);
	CHECK_EQ(simple(T_CLUNK, 2), 0);
	CHECK_EQ(getxattr(in("hello"), "user.b", value, sizeof(value)), 5);
	CHECK(memcmp(value, "guest", 5) == 0);
	finish();
}

TEST(read_only)
{
	setup(true);
	CHECK_EQ(walk(ROOT, 2, "hello", NULL, NULL), 0);
	CHECK_EQ(lopen(2, 2), EROFS);
	CHECK_EQ(lopen(2, 01000), EROFS);
	CHECK_EQ(lopen(2, 0), 0);
	CHECK_EQ(reads(2, 0, 5), 0);
	CHECK_EQ(writes(2, 0, "x"), EROFS);
	CHECK_EQ(lcreate(ROOT, "x", 2, 0644), EROFS);
	CHECK_EQ(named(T_MKDIR, ROOT, "d", 2, (uint32_t[]){ 0755, 0 }), EROFS);
	CHECK_EQ(named(T_UNLINKAT, ROOT, "hello", 1, (uint32_t[]){ 0 }), EROFS);
	CHECK_EQ(simple(T_REMOVE, 2), EROFS);
	CHECK_EQ(simple(T_CLUNK, 2), EBADF);
	check_file("hello", "hello, guest");
	finish();
}

/* As many as there may be, and then an error; all of it is gone with the session. */
TEST(limits)
{
	struct p9 *other;
	int error = 0;
	uint32_t n;

	setup(false);
	for (n = 2; error == 0 && n < 100000; n++)
		error = walk(ROOT, n, "hello", NULL, NULL);
	CHECK_EQ(error, ENFILE);
	error = 0;
	for (uint32_t i = 2; error == 0 && i < n; i++)
		error = lopen(i, 0);
	CHECK_EQ(error, EMFILE);
	/* Nor by another share. */
	other = s;
	s = p9_open("other", share, false);
	CHECKF(s != NULL, "%s", vmm_errmsg());
	CHECK_EQ(start(MAX), 0);
	CHECK_EQ(walk(ROOT, 2, "hello", NULL, NULL), 0);
	CHECK_EQ(lopen(2, 0), EMFILE);
	p9_close(s);
	s = other;
	CHECK_EQ(start(MAX), 0);
	CHECK_EQ(p9_fids(s), 1);
	CHECK_EQ(walk(ROOT, 2, "hello", NULL, NULL), 0);
	CHECK_EQ(lopen(2, 0), 0);
	finish();
}

/* What is no message has no reply, and what is too long for one an error. */
TEST(lengths)
{
	setup(false);
	begin(T_CLUNK);
	put(ROOT, 4);
	for (uint32_t size = 0; size < 7; size++) {
		memcpy(msg, &size, 4);
		CHECK_EQ(p9_request(s, msg, msglen, reply, sizeof(reply)), 0);
		CHECK_EQ(p9_request(s, msg, size, reply, sizeof(reply)), 0);
	}
	memcpy(msg, (uint32_t[]){ 12 }, 4);
	CHECK_EQ(p9_request(s, msg, 11, reply, sizeof(reply)), 0);
	memcpy(msg, (uint32_t[]){ 11 }, 4);
	CHECK_EQ(p9_request(s, msg, 11, reply, 10), 0);
	CHECK_EQ(p9_fids(s), 1);
	begin(T_GETATTR);
	put(ROOT, 4);
	put(0, 8);
	memcpy(msg, (uint32_t[]){ 19 }, 4);
	CHECK_EQ(p9_request(s, msg, msglen, reply, 100), 11);
	CHECK_EQ(reply[4], 7);
	CHECK_EQ(reply[7], EMSGSIZE);
	/* A string that is longer than its message. */
	begin(T_MKDIR);
	put(ROOT, 4);
	put(1000, 2);
	CHECK_EQ(ask(), EINVAL);
	finish();
}

/* The device */

#define	MSG	0x200000ULL
#define	REPLY	0x220000ULL

static struct fx fx;
static struct vdrv d;

static struct device *
make(struct fx *f, const char *keys)
{
	const struct device_place place = { .on = DEVICE_ON_MMIO, .base = VM_BASE, .nirqs = 1, .irq = { f->irq } };
	char text[512];

	(void)snprintf(text, sizeof(text), "share.path=%s\n%s", share, keys);
	return (fx_make_with(f, "virtio-9p", "share", &place, text));
}

/* Give the device the message that was made, and wait for its reply. */
static int
send(void)
{
	uint32_t len = (uint32_t)msglen, got;
	uint16_t n = (uint16_t)(d.used[1] + 1);

	memcpy(msg, &len, 4);
	CHECK_EQ(vm_gpa_write(fx.vmm.vm, MSG, msg, msglen), 0);
	d.desc[0] = (struct vdesc){ MSG, len, D_NEXT, 1 };
	d.desc[1] = (struct vdesc){ REPLY, 4096, D_WRITE, 0 };
	v_avail(&d, 0);
	v_write(&fx, V_NOTIFY, 0);
	for (unsigned i = 0; __atomic_load_n(&d.used[1], __ATOMIC_ACQUIRE) != n; i++) {
		CHECK(i < 1200000);
		fx_turn(&fx);
		usleep(50);
	}
	CHECK_EQ(vm_gpa_read(fx.vmm.vm, REPLY, reply, 4096), 0);
	memcpy(&got, reply, 4);
	replylen = got;
	at = 7;
	return (reply[4] == 7 ? (int)get(4) : 0);
}

static void
mount(void)
{
	begin(T_VERSION);
	put(8192, 4);
	puts9("9P2000.L");
	CHECK_EQ(send(), 0);
	begin(T_ATTACH);
	put(ROOT, 4);
	put(NOFID, 4);
	puts9("");
	puts9("");
	put(0, 4);
	CHECK_EQ(send(), 0);
}

TEST(device)
{
	make_folder();
	fx_open(&fx);
	CHECKF(make(&fx, "share.sharename=stuff\n") != NULL, "%s", vmm_errmsg());
	devices_resume(&fx.vmm);
	CHECK_EQ(v_read(&fx, V_ID), 9);
	CHECK_EQ(v_read(&fx, V_CONFIG) & 0xffff, 5);
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, VM_BASE + V_CONFIG + 2, 1), 's');
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, VM_BASE + V_CONFIG + 6, 1), 'f');
	v_start(&d, &fx, 1, 16);
	mount();
	begin(T_WALK);
	put(ROOT, 4);
	put(2, 4);
	put(1, 2);
	puts9("hello");
	CHECK_EQ(send(), 0);
	/* A reset is a new client. */
	v_start(&d, &fx, 1, 16);
	begin(T_CLUNK);
	put(2, 4);
	CHECK_EQ(send(), EPROTO);
	mount();
	/* No request at all breaks the queue. */
	msglen = 4;
	d.desc[0] = (struct vdesc){ MSG, 4, D_NEXT, 1 };
	d.desc[1] = (struct vdesc){ REPLY, 4096, D_WRITE, 0 };
	v_avail(&d, 0);
	v_write(&fx, V_NOTIFY, 0);
	while ((v_read(&fx, V_STATUS) & 0x40) == 0)
		usleep(50);
	CHECK_HAS(fx.log, "no 9P request");
	fx_close(&fx);
	remove_folder();
}

TEST(device_keys)
{
	char keys[400] = "share.sharename=";

	make_folder();
	fx_open(&fx);
	memset(keys + strlen(keys), 'x', 256);
	CHECK(make(&fx, keys) == NULL);
	CHECK_HAS(vmm_errmsg(), "sharename has");
	fx_close(&fx);
	remove_folder();
}

TEST(snapshots)
{
	static const struct fx_bad bad[] = {
		{ "fids", 1, 4, "files of another host" }, { "msize", 100, 4, "messages of 100 bytes" }, { NULL, 0, 0, NULL },
	};
	struct vm_state_out *out = vm_state_out_open();
	static struct fx to;
	struct device *dev;

	make_folder();
	fx_open(&fx);
	dev = make(&fx, "");
	devices_resume(&fx.vmm);
	v_start(&d, &fx, 1, 16);
	mount();
	devices_pause(&fx.vmm);
	CHECK_EQ(devices_save(&fx.vmm, out), -1);
	CHECK_HAS(vmm_errmsg(), "share: the guest has 1 files of the shared folder in use");
	vm_state_out_close(out);
	devices_resume(&fx.vmm);
	/* A pause is no end. */
	begin(T_CLUNK);
	put(ROOT, 4);
	CHECK_EQ(send(), 0);
	devices_pause(&fx.vmm);
	fx_refuses(dev, bad);
	fx_open(&to);
	CHECK(make(&to, "") != NULL);
	CHECK_EQ(vm_gpa_write(to.vmm.vm, 0x100000, d.desc, 0x10000), 0);
	fx_move(&fx, &to);
	devices_resume(&fx.vmm);
	fx_close(&fx);
	/* The other one goes on with the session. */
	devices_resume(&to.vmm);
	remove_folder();
	CHECK_EQ(v_read(&to, V_STATUS), 0xf);
	fx_close(&to);
}

TEST_MAIN()
