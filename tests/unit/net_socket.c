/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * net_socket.c - the wire between two network cards: either end first, gone and back, frames with and without offloads, back pressure,
 * and a peer that is none.
 */
#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "net/net.h"
#include "net/offload.h"
#include "vmm_fixture.h"

/* Two network cards of the test's own: what they receive. */

static const struct config_key keys[] = { NET_KEYS };
static const struct device_class cls = { .name = "test", .keys = { keys, sizeof(keys) / sizeof(keys[0]) } };

#define	FRAMES	4096

static struct end {
	struct device	 dev;
	struct net	*net;
	unsigned	 n, room, links, writable;
	struct { uint32_t len; uint16_t first; uint8_t flags, gso; uint16_t gso_size; } got[FRAMES];
	uint8_t		 last[NET_FRAME_MAX];
} ends[2];

static struct fx fx;
static char dir[] = "/tmp/hyve-wire.XXXXXX", path[64];

static bool
end_receive(void *arg, const struct net_frame *f)
{
	struct end *e = arg;
	size_t len = 0;

	CHECK(e->net->started);
	if (e->room == 0)
		return (false);
	e->room--;
	for (int i = 0; i < f->niov; i++) {
		memcpy(e->last + len, f->iov[i].iov_base, f->iov[i].iov_len);
		len += f->iov[i].iov_len;
	}
	CHECK_EQ(len, f->len);
	e->got[e->n % FRAMES].len = (uint32_t)len;
	memcpy(&e->got[e->n % FRAMES].first, e->last + 14, 2);
	e->got[e->n % FRAMES].flags = f->flags;
	e->got[e->n % FRAMES].gso = f->gso;
	e->got[e->n++ % FRAMES].gso_size = f->gso_size;
	return (true);
}

static void
end_flush(void *arg)
{
}

static void
end_writable(void *arg)
{
	((struct end *)arg)->writable++;
}

static void
end_link(void *arg, bool up)
{
	struct end *e = arg;

	CHECK_EQ(e->net->link, up);
	e->links++;
}

static const struct net_nic nic = { .receive = end_receive, .flush = end_flush, .writable = end_writable, .link = end_link };

static struct net *
plug(unsigned i, const char *more)
{
	struct end *e = &ends[i];
	char name[8], text[256];

	(void)snprintf(name, sizeof(name), "nic%u", i);
	memset(e, 0, sizeof(*e));
	e->room = UINT32_MAX;
	e->dev = (struct device){ .cls = &cls, .vmm = &fx.vmm, .name = (char *)(uintptr_t)(i == 0 ? "nic0" : "nic1"),
	    .config = fx_node(&fx, name, &cls) };
	(void)snprintf(text, sizeof(text), "%s.backend=socket\n%s.path=%s\n%s.listen=%s\n%s", name, name, path, name,
	    i == 0 ? "on" : "off", more);
	fx_keys(&fx, text);
	e->net = net_open(&e->dev, &nic, e);
	return (e->net);
}

static void
unplug(unsigned i)
{
	net_close(ends[i].net);
	ends[i].net = NULL;
}

static void
begin(void)
{
	fx_open(&fx);
	CHECK_EQ(config_declare(fx.vmm.config, "", &config_global_keys), 0);
	CHECK(mkdtemp(dir) != NULL);
	(void)snprintf(path, sizeof(path), "%s/wire", dir);
}

static void
end(void)
{
	unplug(0);
	unplug(1);
	fx_close(&fx);
	(void)unlink(path);
	CHECK_EQ(rmdir(dir), 0);
}

static void
wait_link(bool up)
{
	for (int i = 0; i < 1000 && (ends[0].net->link != up || ends[1].net->link != up); i++)
		CHECK_EQ(event_loop_once(fx.vmm.loop, 20), 0);
	CHECK(ends[0].net->link == up && ends[1].net->link == up);
}

/* Until an end has n frames. */
static void
wait_frames(unsigned i, unsigned n)
{
	for (int turns = 0; turns < 10000 && ends[i].n < n; turns++)
		CHECK_EQ(event_loop_once(fx.vmm.loop, 20), 0);
	CHECK_EQ(ends[i].n, n);
}

static void
both(void)
{
	begin();
	CHECKF(plug(0, "") != NULL && plug(1, "") != NULL, "%s", vmm_errmsg());
	net_start(ends[0].net);
	net_start(ends[1].net);
	wait_link(true);
}

/* A frame of len bytes with a number behind its header, in two pieces. */
static bool
give(unsigned i, uint16_t number, size_t len)
{
	static uint8_t buf[NET_FRAME_MAX];
	const struct iovec iov[2] = { { buf, 20 }, { buf + 20, len - 20 } };
	const struct net_frame f = { .iov = iov, .niov = 2, .len = len };

	memset(buf, 0x5a, len);
	memcpy(buf + 14, &number, 2);
	return (net_send(ends[i].net, &f));
}

TEST(frames_both_ways)
{
	both();
	CHECK(strcmp(ends[0].net->place, ends[1].net->place) != 0);	/* two addresses in any case */
	CHECK(give(0, 1, 60) && give(0, 2, NET_FRAME_MAX) && give(1, 3, 1514));
	wait_frames(1, 2);
	wait_frames(0, 1);
	CHECK(ends[1].got[0].len == 60 && ends[1].got[0].first == 1 && ends[1].got[0].gso == 0);
	CHECK(ends[1].got[1].len == NET_FRAME_MAX && ends[1].got[1].first == 2);
	CHECK(ends[0].got[0].len == 1514 && ends[0].got[0].first == 3 && ends[0].last[1513] == 0x5a);
	end();
}

/* Either may come first, go away and come back. */
TEST(link_follows_the_peer)
{
	begin();
	CHECKF(plug(1, "") != NULL, "%s", vmm_errmsg());
	net_start(ends[1].net);
	CHECK(!ends[1].net->link);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(event_loop_once(fx.vmm.loop, 5), 0);
	for (unsigned round = 0; round < 3; round++) {
		/* Of what is sent without a peer nothing comes. */
		CHECK(give(1, 9, 60));
		CHECKF(plug(0, "") != NULL, "%s", vmm_errmsg());
		CHECK(!ends[0].net->link);
		net_start(ends[0].net);
		wait_link(true);
		CHECK_EQ(ends[1].links, 2 * round + 1);
		CHECK(give(1, (uint16_t)round, 60));
		wait_frames(0, 1);
		CHECK_EQ(ends[0].got[0].first, round);
		unplug(0);
		for (int i = 0; i < 1000 && ends[1].net->link; i++)
			CHECK_EQ(event_loop_once(fx.vmm.loop, 20), 0);
		CHECK(!ends[1].net->link);
	}
	CHECKF(plug(0, "") != NULL, "%s", vmm_errmsg());
	net_start(ends[0].net);
	for (unsigned round = 0; round < 3; round++) {
		wait_link(true);
		CHECK_EQ(ends[0].links, 2 * round + 1);
		unplug(1);
		for (int i = 0; i < 1000 && ends[0].net->link; i++)
			CHECK_EQ(event_loop_once(fx.vmm.loop, 20), 0);
		CHECK(!ends[0].net->link);
		CHECKF(plug(1, "") != NULL, "%s", vmm_errmsg());
		net_start(ends[1].net);
	}
	end();
}

/* Paused, an end keeps its place on the wire and takes nothing; what was sent meanwhile comes later. */
TEST(pause)
{
	both();
	net_stop(ends[1].net);
	for (uint16_t i = 0; i < 10; i++)
		CHECK(give(0, i, 60));
	for (int i = 0; i < 5; i++)
		CHECK_EQ(event_loop_once(fx.vmm.loop, 5), 0);
	CHECK_EQ(ends[1].n, 0);
	CHECK(ends[0].net->link);
	net_start(ends[1].net);
	wait_frames(1, 10);
	CHECK_EQ(ends[1].got[9].first, 9);
	CHECK_EQ(ends[1].links, 1);
	/* A peer that goes away meanwhile is missed at the start. */
	net_stop(ends[1].net);
	unplug(0);
	for (int i = 0; i < 5; i++)
		CHECK_EQ(event_loop_once(fx.vmm.loop, 5), 0);
	CHECK(ends[1].net->link);
	net_start(ends[1].net);
	for (int i = 0; i < 1000 && ends[1].net->link; i++)
		CHECK_EQ(event_loop_once(fx.vmm.loop, 20), 0);
	CHECK_EQ(ends[1].links, 2);
	end();
}

/* A receiver that takes nothing makes the sender wait; nothing is lost and the order is kept. */
TEST(back_pressure)
{
	unsigned sent = 0, before;

	both();
	ends[1].room = 3;
	while (sent < FRAMES && give(0, (uint16_t)sent, 9000)) {
		sent++;
		CHECK_EQ(event_loop_once(fx.vmm.loop, 0), 0);
	}
	CHECK(sent > 3 && sent < FRAMES);
	CHECK_EQ(ends[1].n, 3);
	CHECK_EQ(ends[0].writable, 0);
	before = sent;
	ends[1].room = UINT32_MAX;
	net_ready(ends[1].net);
	wait_frames(1, before);
	CHECK(ends[0].writable >= 1);
	CHECK(give(0, (uint16_t)sent++, 9000));
	wait_frames(1, sent);
	for (unsigned i = 0; i < sent; i++)
		CHECK_EQ(ends[1].got[i].first, i);
	/* A peer that goes away does not leave anybody waiting. */
	ends[1].room = 0;
	while (give(0, 0, 9000))
		CHECK_EQ(event_loop_once(fx.vmm.loop, 0), 0);
	before = ends[0].writable;
	unplug(1);
	for (int i = 0; i < 1000 && ends[0].net->link; i++)
		CHECK_EQ(event_loop_once(fx.vmm.loop, 20), 0);
	CHECK(ends[0].writable > before);
	CHECK(give(0, 0, 9000));
	end();
}

/* A TCP segment of n bytes of payload over IPv4, with the sum of the pseudo header. */
static size_t
large(uint8_t *f, size_t n)
{
	size_t len = 54 + n;
	uint16_t sum;

	memset(f, 0x11, 54);
	memcpy(f + 12, "\x08\0\x45\0", 4);
	f[16] = (uint8_t)((len - 14) >> 8);
	f[17] = (uint8_t)(len - 14);
	memset(f + 20, 0, 2);
	f[23] = 6;
	f[46] = 0x50;
	f[47] = 0x99;		/* CWR, ACK, PSH, FIN */
	sum = offload_sum(f + 26, 8, (uint32_t)htons(6) + htons((uint16_t)(20 + n)));
	memcpy(f + 50, &sum, 2);
	for (size_t i = 0; i < n; i++)
		f[54 + i] = (uint8_t)(i * 13);
	return (len);
}

static void
give_large(size_t n, uint8_t gso, uint16_t size)
{
	static uint8_t buf[NET_FRAME_MAX];
	const struct iovec iov = { buf, large(buf, n) };
	const struct net_frame f = { .iov = &iov, .niov = 1, .len = iov.iov_len, .flags = NET_NEEDS_CSUM, .gso = gso, .gso_size = size,
	    .hdr_len = 54, .csum_start = 34, .csum_off = 16 };

	CHECK(net_send(ends[0].net, &f));
}

static void
good_segment(const uint8_t *f, size_t len)
{
	CHECK_EQ(offload_sum(f + 14, 20, 0), 0xffff);
	CHECK_EQ((size_t)(f[16] << 8 | f[17]), len - 14);
	CHECK_EQ(offload_sum(f + 34, len - 34, offload_sum(f + 26, 8, (uint32_t)htons(6) + htons((uint16_t)(len - 34)))), 0xffff);
}

/* Let the end's wishes reach the other. */
static void
wish(unsigned i, unsigned takes)
{
	net_configure(ends[i].net, takes, 1);
	for (int turns = 0; turns < 10; turns++)
		CHECK_EQ(event_loop_once(fx.vmm.loop, 1), 0);
}

TEST(offloads)
{
	unsigned all = NET_TAKES_CSUM | NET_TAKES_TSO4;

	both();
	/* A peer that takes nothing gets finished frames: of 1000 bytes of payload, the last one shorter. */
	give_large(4500, NET_GSO_TCP4, 1000);
	wait_frames(1, 5);
	for (unsigned i = 0; i < 5; i++) {
		CHECK_EQ(ends[1].got[i].len, i < 4 ? 1054U : 554U);
		CHECK_EQ(ends[1].got[i].flags, NET_CSUM_GOOD);
	}
	good_segment(ends[1].last, 554);
	CHECK_EQ(ends[1].last[47], 0x19);
	CHECK_EQ(ends[1].last[40] << 8 | ends[1].last[41], 0x1111 + 4000);
	CHECK_EQ(ends[1].last[54], (uint8_t)(4000 * 13));
	give_large(300, NET_GSO_NONE, 0);
	wait_frames(1, 6);
	CHECK(ends[1].got[5].flags == NET_CSUM_GOOD && ends[1].got[5].len == 354);
	CHECK_EQ(offload_sum(ends[1].last + 34, 320, offload_sum(ends[1].last + 26, 8, (uint32_t)htons(6) + htons(320))), 0xffff);
	/* One that takes more gets it whole. */
	wish(1, all);
	give_large(60000, NET_GSO_TCP4, 1448);
	wait_frames(1, 7);
	CHECK(ends[1].got[6].len == 60054 && ends[1].got[6].gso == NET_GSO_TCP4 && ends[1].got[6].gso_size == 1448);
	CHECK_EQ(ends[1].got[6].flags, NET_NEEDS_CSUM);
	/* And changes its mind; with what is on its way then. */
	wish(1, NET_TAKES_CSUM);
	give_large(2000, NET_GSO_TCP4, 1448);
	wait_frames(1, 9);
	good_segment(ends[1].last, 606);
	net_set_takes(ends[1].net, 0);
	give_large(300, NET_GSO_NONE, 0);
	wait_frames(1, 10);
	CHECK_EQ(ends[1].got[9].flags, NET_CSUM_GOOD);
	/* Headers that are not what they are said to be go nowhere. */
	give_large(3000, NET_GSO_TCP6, 1000);
	CHECK(give(0, 77, 60));
	wait_frames(1, 11);
	CHECK_EQ(ends[1].got[10].first, 77);
	end();
}

/* Segments wait for room too, and come whole and in order. */
TEST(segments_under_back_pressure)
{
	unsigned sent = 0;

	both();
	ends[1].room = 1;
	for (;;) {
		uint8_t buf[64 + 54];
		const struct iovec iov = { buf, large(buf, 64) };
		const struct net_frame f = { .iov = &iov, .niov = 1, .len = iov.iov_len, .flags = NET_NEEDS_CSUM, .gso = NET_GSO_TCP4,
		    .gso_size = 16, .hdr_len = 54, .csum_start = 34, .csum_off = 16 };

		if (!net_send(ends[0].net, &f))
			break;
		sent++;
		CHECK_EQ(event_loop_once(fx.vmm.loop, 0), 0);
	}
	ends[1].room = UINT32_MAX;
	net_ready(ends[1].net);
	wait_frames(1, 4 * sent);
	good_segment(ends[1].last, 70);
	CHECK(ends[0].writable >= 1);
	end();
}

/* A peer by hand. */

static int
stranger(void)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	(void)snprintf(un.sun_path, sizeof(un.sun_path), "%s", path);
	CHECK(fd >= 0 && connect(fd, (struct sockaddr *)&un, sizeof(un)) == 0);
	return (fd);
}

static void
say(int fd, const void *bytes, size_t len)
{
	(void)send(fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);
	for (int i = 0; i < 4; i++)
		CHECK_EQ(event_loop_once(fx.vmm.loop, 0), 0);
}

/* Whether the other end closed. */
static bool
closed(int fd)
{
	char buf[64];
	ssize_t n;

	while ((n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT)) > 0)
		continue;
	return (n == 0 || errno == ECONNRESET);
}

#define	HELLO	"\1\0\0\0\0\0\0\0\0\0\0\0hyve-net\1\0\0\0\0\0\0\0"

TEST(strangers)
{
	static const struct { const char *bytes; size_t len; } bad[] = {
		{ "x", 1 }, { "\2\0\0\0\0\0\0\0\0\0\0\0aaaaaaaaaaaaaaaaaaaa", 32 }, { "\1\0\0\0\0\0\0\0\0\0\0\0hyve-net\2\0\0\0\0\0\0\0", 28 },
		{ HELLO, 27 }, { HELLO "x", 29 }, { "\1\0\0\0\0\0\0\0\0\0\0\0hyve_net\1\0\0\0\0\0\0\0", 28 }, { "\3\0\0\0\0\0\0\0\0\0\0\0", 12 },
	};
	uint8_t frame[12 + 60] = { 2 }, *too_long = calloc(1, NET_FRAME_MAX + 13);
	int fd, second;

	begin();
	CHECKF(plug(0, "") != NULL, "%s", vmm_errmsg());
	net_start(ends[0].net);
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		fd = stranger();
		say(fd, bad[i].bytes, bad[i].len);
		CHECKF(closed(fd), "the stranger %u was not sent away", i);
		CHECK(!ends[0].net->link);
		close(fd);
	}
	CHECKF(strstr(fx.log, "something else than a network card of hyve") != NULL, "%s", fx.log);
	fd = stranger();
	say(fd, HELLO, 28);
	CHECK(ends[0].net->link);
	second = stranger();
	say(fd, HELLO, 28);
	CHECK(closed(second) && !closed(fd));
	close(second);
	say(fd, frame, 12 + 13);			/* shorter than a header */
	frame[1] = NET_NEEDS_CSUM;
	frame[8] = 59;
	say(fd, frame, sizeof(frame));			/* a sum outside of it */
	frame[8] = 34;
	frame[2] = NET_GSO_TCP4;
	say(fd, frame, sizeof(frame));			/* segments of nothing, which were not offered */
	frame[2] = 0x7f;
	frame[4] = frame[6] = 100;
	say(fd, frame, sizeof(frame));
	CHECK_EQ(ends[0].n, 0);
	frame[1] = 0xfe;
	frame[2] = 0;
	say(fd, frame, sizeof(frame));			/* flags that do not exist */
	CHECK_EQ(ends[0].n, 1);
	CHECK_EQ(ends[0].got[0].flags, NET_CSUM_GOOD);
	too_long[0] = 2;
	say(fd, too_long, NET_FRAME_MAX + 13);
	CHECK(closed(fd));
	CHECK(!ends[0].net->link);
	close(fd);
	free(too_long);
	end();
}

TEST(paths)
{
	struct stat st;
	char text[256];
	int fd;

	begin();
	ends[0].dev = (struct device){ .cls = &cls, .vmm = &fx.vmm, .name = (char *)(uintptr_t)"nic0", .config = fx_node(&fx, "nic0", &cls) };
	CHECK_EQ(config_load_text(fx.vmm.config, "test", "nic0.backend=socket", 19), 0);
	CHECK(net_open(&ends[0].dev, &nic, &ends[0]) == NULL);
	CHECKF(strstr(vmm_errmsg(), "nic0: the back end 'socket' needs a path") != NULL, "%s", vmm_errmsg());
	(void)snprintf(text, sizeof(text), "nic0.path=/tmp/%0120d\n", 0);
	CHECK(plug(0, text) == NULL);
	CHECKF(strstr(vmm_errmsg(), "nic0: path: at most 107 characters") != NULL, "%s", vmm_errmsg());
	CHECK(plug(0, "nic0.path=/nowhere/wire\n") == NULL);
	CHECKF(strstr(vmm_errmsg(), "nic0: cannot listen at '/nowhere/wire': No such file") != NULL, "%s", vmm_errmsg());
	/* What somebody else listens at stays; what nobody listens at any more is replaced; a file stays. */
	CHECKF(plug(0, "") != NULL, "%s", vmm_errmsg());
	CHECK(stat(path, &st) == 0 && (st.st_mode & 0777) == 0600);
	CHECK(plug(1, "nic1.listen=on\n") == NULL);
	CHECKF(strstr(vmm_errmsg(), "nic1: somebody listens at '") != NULL, "%s", vmm_errmsg());
	unplug(0);
	CHECK(stat(path, &st) != 0);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	{
		struct sockaddr_un un = { .sun_family = AF_UNIX };

		(void)snprintf(un.sun_path, sizeof(un.sun_path), "%s", path);
		CHECK_EQ(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	}
	close(fd);
	CHECKF(plug(0, "") != NULL, "%s", vmm_errmsg());
	unplug(0);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	CHECK(fd >= 0);
	close(fd);
	CHECK(plug(0, "") == NULL);
	CHECKF(strstr(vmm_errmsg(), "or it is no socket") != NULL, "%s", vmm_errmsg());
	CHECK_EQ(stat(path, &st), 0);
	end();
}

TEST_MAIN()
