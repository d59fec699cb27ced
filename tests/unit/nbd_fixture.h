/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * nbd_fixture.h - what tests of disks on NBD servers share: a folder with the server's socket, and a disk on it.
 */
#ifndef _NBD_FIXTURE_H_
#define	_NBD_FIXTURE_H_

#include "block/store.h"
#include "error.h"
#include "nbd_server.h"

static char dir[] = "/tmp/hyve-nbd-XXXXXX";
static char sock[64], uri[256], image[64];

static inline void
begin(void)
{
	CHECK(mkdtemp(dir) != NULL);
	snprintf(sock, sizeof(sock), "%s/sock", dir);
	snprintf(image, sizeof(image), "%s/image", dir);
	snprintf(uri, sizeof(uri), "nbd+unix:///?socket=%s", sock);
}

static inline void
end(void)
{
	unlink(sock);
	unlink(image);
	CHECK_EQ(rmdir(dir), 0);
}

static inline struct store *
opened_with(unsigned timeout, unsigned delay)
{
	const struct block_options o = { .path = uri, .format = BLOCK_RAW, .timeout = timeout, .reconnect_delay = delay };
	struct store *s = store_open(&o, NULL);

	CHECKF(s != NULL, "%s", vmm_errmsg());
	return (s);
}

static inline void
fill(uint8_t *buf, size_t len, uint64_t seed)
{
	for (size_t i = 0; i < len; i += 8) {
		uint64_t r = test_random(&seed);

		memcpy(buf + i, &r, len - i < 8 ? len - i : 8);
	}
}

#endif /* _NBD_FIXTURE_H_ */
