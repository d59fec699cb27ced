/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz_9p.c - messages to the server of a shared folder: whatever they are, nothing beside the folder is touched.
 *
 * An input is a series of messages, each behind its length (2 bytes, the message without its size and tag): what a mutation changes is
 * mostly what a message means.
 */
#include <sys/stat.h>

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "9p/p9.h"
#include "fuzz.h"
#include "fuzz_guest.h"

#define	SECRET	"what is beside the folder"

static char top[] = "/tmp/hyve-fuzz-9p-XXXXXX";
static char share[64], secret[64];

#define	U32(n)	(n), 0, 0, 0
#define	U64(n)	U32(n), U32(0)
#define	NAME(n)	1, 0, (n)

/* A session, its folder as fid 1, and a walk to a file in that. */
#define	VERSION	15, 0, 100, 0, 64, 0, 0, 8, 0, '9', 'P', '2', '0', '0', '0', '.', 'L'
#define	ATTACH	17, 0, 104, U32(1), U32(9), 0, 0, 0, 0, U32(0)
#define	WALK(f, n)	14, 0, 110, U32(1), U32(f), 1, 0, NAME(n)

static const uint8_t files[] = {
	VERSION, ATTACH, WALK(2, 'a'), 9, 0, 12, U32(2), U32(2), 17, 0, 116, U32(2), U64(0), U32(9), 20, 0, 118, U32(2), U64(1), U32(3),
	'x', 'y', 'z', 9, 0, 50, U32(2), U32(0), 13, 0, 24, U32(2), U64(255), 5, 0, 120, U32(2), 11, 0, 110, U32(1), U32(3), 0, 0,
	20, 0, 14, U32(3), NAME('n'), U32(2), U32(7), U32(0), 5, 0, 122, U32(3),
};

static const uint8_t tree[] = {
	VERSION, ATTACH, 16, 0, 72, U32(1), NAME('m'), U32(255), U32(0), WALK(2, 'm'), 18, 0, 16, U32(2), NAME('s'), 5, 0, '/', 'e', 't', 'c',
	'/', U32(0), 15, 0, 74, U32(1), NAME('m'), U32(1), NAME('r'), 11, 0, 70, U32(1), U32(2), NAME('l'), WALK(3, 'l'), 5, 0, 22, U32(3),
	24, 0, 18, U32(1), NAME('d'), 0, 32, 0, 0, U32(1), U32(3), U32(0), 12, 0, 76, U32(1), NAME('r'), 0, 2, 0, 0,
	11, 0, 20, U32(2), U32(1), NAME('q'), 5, 0, 8, U32(2),
};

static const uint8_t folders[] = {
	VERSION, ATTACH, 11, 0, 110, U32(1), U32(2), 0, 0, 9, 0, 12, U32(2), U32(0), 17, 0, 40, U32(2), U64(0), 0, 4, 0, 0, 16, 0, 110,
	U32(1), U32(3), 1, 0, 2, 0, '.', '.', 5, 0, 120, U32(3), WALK(4, 'u'), 9, 0, 12, U32(4), U32(0),
};

static const uint8_t others[] = {
	VERSION, ATTACH, WALK(2, 'a'), 17, 0, 30, U32(2), U32(3), 6, 0, 'u', 's', 'e', 'r', '.', 'a', 25, 0, 32, U32(2), 6, 0, 'u', 's', 'e', 'r',
	'.', 'b', U64(3), U32(0), 5, 0, 120, U32(2), WALK(4, 'a'), 9, 0, 12, U32(4), U32(2), 32, 0, 52, U32(4), 1, U32(0), U64(0), U64(5),
	U32(1), 1, 0, 'c', 28, 0, 54, U32(4), 1, U64(0), U64(5), U32(1), 1, 0, 'c', 3, 0, 108, 0, 0,
};

static const struct fuzz_input inputs[] = {
	{ files, sizeof(files) }, { tree, sizeof(tree) }, { folders, sizeof(folders) }, { others, sizeof(others) },
};

size_t
fuzz_seed(unsigned n, uint8_t *buf, size_t max)
{
	return (fuzz_input(inputs, sizeof(inputs) / sizeof(inputs[0]), n, buf, max));
}

static int
gone(const char *name, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)ftw;
	if (flag != FTW_SL && flag != FTW_SLN)
		(void)chmod(name, 0700);
	return (remove(name));
}

static void
clean(void)
{
	(void)nftw(share, gone, 16, FTW_DEPTH | FTW_PHYS);
}

static void
finish(void)
{
	(void)nftw(top, gone, 16, FTW_DEPTH | FTW_PHYS);
}

static void
make(const char *name, const char *text)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		abort();
	close(fd);
}

/* The folder as it is at the start of each input. */
static void
prepare(void)
{
	char name[80];

	if (secret[0] == '\0') {
		if (mkdtemp(top) == NULL || atexit(finish) != 0)
			abort();
		(void)snprintf(share, sizeof(share), "%s/share", top);
		(void)snprintf(secret, sizeof(secret), "%s/secret", top);
		make(secret, SECRET);
	}
	clean();
	if (mkdir(share, 0700) != 0)
		abort();
	(void)snprintf(name, sizeof(name), "%s/a", share);
	make(name, "contents");
	(void)snprintf(name, sizeof(name), "%s/u", share);
	if (symlink("../secret", name) != 0)
		abort();
}

static void
check_secret(void)
{
	char text[64] = "";
	int fd = open(secret, O_RDONLY);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) != 0 || st.st_nlink != 1 || (st.st_mode & 07777) != 0600 || read(fd, text, sizeof(text) - 1) < 0 ||
	    strcmp(text, SECRET) != 0)
		abort();
	close(fd);
}

/* An answer is as long as it says, and has nothing of the secret. */
static void
ask(struct p9 *s, const uint8_t *body, size_t len, size_t room)
{
	static uint8_t in[70000], out[70000];
	uint32_t size = (uint32_t)len + 6;
	size_t n;

	memcpy(in, &size, 4);
	in[4] = body[0];
	in[5] = 1;
	in[6] = 0;
	memcpy(in + 7, body + 1, len - 1);
	n = p9_request(s, in, size, out, room);
	if (n > room || (n != 0 && (n < 7 || memcmp(&n, out, 4) != 0)) || memmem(out, n, SECRET, sizeof(SECRET) - 1) != NULL)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *p = data, *end = data + size;
	struct p9 *s;

	prepare();
	s = p9_open("fuzz", share, size != 0 && data[size - 1] == 0xff);
	if (s == NULL)
		abort();
	while (end - p >= 3) {
		size_t len = (size_t)fuzz_bytes(&p, end, 2);

		if (len == 0)
			continue;
		if (len > (size_t)(end - p))
			len = (size_t)(end - p);
		ask(s, p, len, len % 16 == 0 ? len : 65536);
		p += len;
	}
	p9_close(s);
	check_secret();
	return (0);
}
