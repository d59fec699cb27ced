/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz_nbd.c - a disk on an NBD server whose every answer is made up.  The module's code is linked here and not loaded.
 *
 * The first byte says how the server begins: with the handshake of its input's making, or with a proper one for an export that 18 bytes
 * describe.  Then comes what the disk is asked for, a count and as many operations of three bytes, and then the server's answers: one for
 * each request, or with a handshake of its own, one for each message of the client.  An answer is a proper one with an error or with data,
 * bytes from the input, or the end of the connection, as is the end of the input.
 */
#include <sys/socket.h>
#include <sys/un.h>

#include <endian.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "block/nbd.h"
#include "block/store.h"
#include "fuzz.h"
#include "fuzz_guest.h"

#define	LEN_MAX		(16U * 512)
#define	GUARD		64

extern const struct nbd_module hyve_block_nbd;
const void *__wrap_module_load(const char *name, const char *symbol, const char *package);

static char dir[] = "/tmp/hyve-fuzz.XXXXXX", path[64], uri[96];
static int listener;
static const uint8_t *answers, *answers_end;
static bool raw;
static uint8_t export[18];
static atomic_uint clients;

const void *
__wrap_module_load(const char *name, const char *symbol, const char *package)
{
	return (&hyve_block_nbd);
}

static bool
put(int fd, const void *buf, size_t len)
{
	return (send(fd, buf, len, MSG_NOSIGNAL) == (ssize_t)len);
}

static bool
get(int fd, void *buf, size_t len)
{
	return (recv(fd, buf, len, MSG_WAITALL) == (ssize_t)len);
}

/* The handshake (NBD protocol, "Fixed newstyle negotiation"), with what the input says of the export. */
static bool
handshake(int fd)
{
	static const uint8_t hello[18] = "NBDMAGICIHAVEOPT\0\3", info[20] = "\0\3\350\211\4Ue\251\0\0\0\7\0\0\0\3\0\0\0\14",
	    blocks[26] = "\0\3\350\211\4Ue\251\0\0\0\7\0\0\0\3\0\0\0\16\0\3\0\0\20\0", ack[20] = "\0\3\350\211\4Ue\251\0\0\0\7\0\0\0\1";
	uint8_t refused[20] = "\0\3\350\211\4Ue\251\0\0\0\0\200\0\0\1", option[16], skip[512];

	if (!put(fd, hello, sizeof(hello)) || !get(fd, skip, 4))
		return (false);
	while (get(fd, option, sizeof(option))) {
		uint32_t len = (uint32_t)option[14] << 8 | option[15];

		if (len > sizeof(skip) || !get(fd, skip, len))
			return (false);
		memcpy(refused + 8, option + 8, 4);
		if (option[11] != 7 && !put(fd, refused, sizeof(refused)))
			return (false);
		if (option[11] != 7)
			continue;
		return (put(fd, info, sizeof(info)) && put(fd, "\0\0", 2) && put(fd, export, 10) && put(fd, blocks, 22) && put(fd, export + 10, 4) &&
		    put(fd, "\0\0\20\0", 4) && put(fd, export + 14, 4) && put(fd, ack, sizeof(ack)));
	}
	return (false);
}

/* One answer; q is what was asked, NULL in a handshake.  Whether the connection goes on. */
static bool
answer(int fd, const uint8_t **p, const uint8_t *q)
{
	static const uint8_t data[LEN_MAX + 65536];
	uint8_t how = (uint8_t)fuzz_bytes(p, answers_end, 1), reply[16] = "\x67\x44\x66\x98";
	uint32_t len = q != NULL ? (uint32_t)q[24] << 24 | (uint32_t)q[25] << 16 | (uint32_t)q[26] << 8 | q[27] : 0;
	size_t n;

	if ((how & 3) == 3)
		return (false);
	if ((how & 3) != 2 && q != NULL) {
		memcpy(reply + 8, q + 8, 8);
		reply[7] = (how & 3) == 1 ? how >> 2 : 0;
		if (!put(fd, reply, sizeof(reply)))
			return (false);
		return (q[7] != 0 || reply[7] != 0 || len > sizeof(data) || put(fd, data, len));
	}
	n = (size_t)fuzz_bytes(p, answers_end, 1);
	n = n < (size_t)(answers_end - *p) ? n : (size_t)(answers_end - *p);
	*p += n;
	return (put(fd, *p - n, n));
}

static void
requests(int fd, const uint8_t **p)
{
	uint8_t q[28], skip[LEN_MAX + 65536];

	while (*p < answers_end && get(fd, q, sizeof(q)) && q[7] != 2) {
		uint32_t len = (uint32_t)q[24] << 24 | (uint32_t)q[25] << 16 | (uint32_t)q[26] << 8 | q[27];

		if (q[7] == 1 && (len > sizeof(skip) || !get(fd, skip, len)))
			return;
		if (!answer(fd, p, q))
			return;
	}
}

static void *
client(void *arg)
{
	int fd = (int)(intptr_t)arg;
	const uint8_t *p = answers;
	uint8_t skip[4096];

	if (!raw && handshake(fd))
		requests(fd, &p);
	while (raw && p < answers_end && answer(fd, &p, NULL)) {
		struct pollfd wait = { .fd = fd, .events = POLLIN };

		/* The client may have nothing to say. */
		if (poll(&wait, 1, 1) > 0 && recv(fd, skip, sizeof(skip), 0) <= 0)
			break;
	}
	close(fd);
	atomic_fetch_sub(&clients, 1);
	return (NULL);
}

static void *
serve(void *arg)
{
	const struct timeval patience = { .tv_usec = 5000 };
	pthread_t t;
	int fd;

	while ((fd = accept(listener, NULL, NULL)) >= 0) {
		/* Who waits for the rest of an answer, and says nothing, hears no more. */
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
		atomic_fetch_add(&clients, 1);
		if (pthread_create(&t, NULL, client, (void *)(intptr_t)fd) != 0 || pthread_detach(t) != 0)
			abort();
	}
	return (NULL);
}

static void
clean_up(void)
{
	(void)unlink(path);
	(void)rmdir(dir);
}

static void
make(void)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	pthread_t t;

	if (mkdtemp(dir) == NULL)
		abort();
	(void)snprintf(path, sizeof(path), "%s/nbd", dir);
	(void)snprintf(to.sun_path, sizeof(to.sun_path), "%s", path);
	(void)snprintf(uri, sizeof(uri), "nbd+unix:///?socket=%s", path);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listener < 0 || bind(listener, (struct sockaddr *)&to, sizeof(to)) != 0 || listen(listener, 16) != 0 ||
	    pthread_create(&t, NULL, serve, NULL) != 0 || pthread_detach(t) != 0)
		abort();
	(void)atexit(clean_up);
}

/* Nothing but what was asked for is written to, whatever the server sends. */
static void
operate(struct store *s, const uint8_t *op)
{
	uint8_t buf[LEN_MAX + 2 * GUARD];
	uint64_t off = (uint64_t)op[1] * 512, len = (op[2] % 16 + 1U) * 512;

	if (len > s->size || off > s->size - len)
		return;
	memset(buf, 0x5a, sizeof(buf));
	switch (op[0] % 5) {
	case 0:
		(void)store_read(s, buf + GUARD, (size_t)len, off);
		break;
	case 1:
		(void)store_write(s, buf + GUARD, (size_t)len, off);
		break;
	case 2:
		(void)store_flush(s);
		break;
	case 3:
		(void)store_discard(s, off, len);
		break;
	default:
		(void)store_zero(s, off, len, (op[0] & 0x80) != 0);
	}
	for (unsigned i = 0; i < GUARD; i++)
		if (buf[i] != 0x5a || buf[GUARD + len + i] != 0x5a)
			abort();
}

size_t
fuzz_seed(unsigned n, uint8_t *buf, size_t max)
{
	/* 1 MiB that can be flushed, discarded and zeroed, in blocks of 512 or 4096 bytes; everything is done, with and without errors. */
	static const uint8_t plain[] = {
		1, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0x65, 0, 0, 2, 0, 0, 1, 0, 0, 5, 1, 0, 3, 0, 0, 3, 2, 0, 0, 3, 1, 1, 4, 1, 1, 0, 0, 0, 0, 0, 0, 0,
	};
	static const uint8_t large[] = {
		1, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0x65, 0, 0, 0x10, 0, 0, 1, 0, 0, 5, 1, 1, 3, 0, 1, 3, 2, 0, 0, 3, 1, 1, 4, 1, 15, 0, 0, 0, 0, 0x15, 0x71, 0, 0, 3,
	};
	/* Several connections; a reply to somebody else, a structured one. */
	static const uint8_t several[] = {
		1, 0, 0, 0, 0, 0, 0x10, 0, 0, 1, 0x65, 0, 0, 2, 0, 0, 1, 0, 0, 2, 1, 0, 3, 0, 0, 3, 0, 2, 16, 0x67, 0x44, 0x66, 0x98, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9,
	};
	/* A handshake of its own, which refuses the export. */
	static const uint8_t own[] = {
		0, 1, 0, 0, 0, 2, 18, 'N', 'B', 'D', 'M', 'A', 'G', 'I', 'C', 'I', 'H', 'A', 'V', 'E', 'O', 'P', 'T', 0, 3,
		2, 20, 0, 3, 0xe8, 0x89, 4, 0x55, 0x65, 0xa9, 0, 0, 0, 8, 0x80, 0, 0, 1, 0, 0, 0, 0,
		2, 20, 0, 3, 0xe8, 0x89, 4, 0x55, 0x65, 0xa9, 0, 0, 0, 7, 0x80, 0, 0, 6, 0, 0, 0, 0,
		2, 25, 0, 3, 0xe8, 0x89, 4, 0x55, 0x65, 0xa9, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 5, 0, 0, 0, 1, 27,
	};
	const struct fuzz_input inputs[] = {
		{ plain, sizeof(plain) }, { large, sizeof(large) }, { several, sizeof(several) }, { own, sizeof(own) },
	};

	return (fuzz_input(inputs, sizeof(inputs) / sizeof(inputs[0]), n, buf, max));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct block_options o = { .path = uri, .format = BLOCK_RAW, .timeout = 1 };
	const uint8_t *p = data, *end = data + size, *ops;
	struct store *s;
	size_t n;

	if (listener == 0)
		make();
	raw = (fuzz_bytes(&p, end, 1) & 1) == 0;
	memset(export, 0, sizeof(export));
	n = (size_t)(end - p) < sizeof(export) ? (size_t)(end - p) : sizeof(export);
	if (!raw) {
		memcpy(export, p, n);
		p += n;
	}
	n = (size_t)fuzz_bytes(&p, end, 1) % 8;
	n = n * 3 < (size_t)(end - p) ? n : (size_t)(end - p) / 3;
	ops = p;
	answers = p + n * 3;
	answers_end = end;
	s = store_open(&o, NULL);
	for (size_t i = 0; s != NULL && i < n; i++)
		operate(s, ops + i * 3);
	store_close(s);
	while (atomic_load(&clients) != 0)
		usleep(50);
	return (0);
}
