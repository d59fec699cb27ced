/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz_net_socket.c - what comes by the wire of the back end "socket", and frames to be cut up on the way out.
 *
 * The first byte says what the card takes and whether the peer greets first.  Then come operations: a message to the card, with its length
 * in two bytes, or a frame from it, with its header and length.
 */
#include <sys/socket.h>
#include <sys/un.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "error.h"
#include "fuzz.h"
#include "fuzz_guest.h"
#include "net/net.h"

static const struct config_key keys[] = { NET_KEYS };
static const struct device_class cls = { .name = "fuzz", .keys = { keys, sizeof(keys) / sizeof(keys[0]) } };
static const uint8_t hello[28] = "\1\0\0\0\0\0\0\0\0\0\0\0hyve-net\1\0\0\0\0\0\0";

static struct vmm vmm;
static struct device dev;
static struct net *net;
static unsigned patience;
static char dir[] = "/tmp/hyve-fuzz.XXXXXX";
static struct sockaddr_un addr = { .sun_family = AF_UNIX };

/* No frame but one that is possible, and taken. */
static bool
receive(void *arg, const struct net_frame *f)
{
	uint8_t sum = 0;

	if (!net_frame_good(f, atomic_load(&net->takes)) || f->niov != 1 || f->iov[0].iov_len != f->len)
		abort();
	for (size_t i = 0; i < f->len; i++)
		sum ^= ((const uint8_t *)f->iov[0].iov_base)[i];
	return ((patience++ & 7) != sum % 8);
}

static void
flush(void *arg)
{
}

static const struct net_nic nic = { .receive = receive, .flush = flush };

static void
clean_up(void)
{
	net_close(net);
	(void)rmdir(dir);
	config_free(vmm.config);
	event_loop_free(vmm.loop);
}

static void
make(void)
{
	struct config_origin origin = { .source = CONFIG_FROM_CODE };

	vmm.loop = event_loop_new();
	vmm.config = config_new();
	if (vmm.loop == NULL || vmm.config == NULL || mkdtemp(dir) == NULL || config_declare(vmm.config, "", &config_global_keys) != 0 ||
	    config_declare(vmm.config, "nic", &cls.keys) != 0)
		abort();
	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/wire", dir);
	dev = (struct device){ .cls = &cls, .vmm = &vmm, .name = (char *)(uintptr_t)"nic", .config = config_node(vmm.config, "nic") };
	if (config_set(vmm.config, "nic.backend", "socket", &origin) != 0 || config_set(vmm.config, "nic.listen", "on", &origin) != 0 ||
	    config_set(vmm.config, "nic.path", addr.sun_path, &origin) != 0 || (net = net_open(&dev, &nic, NULL)) == NULL)
		abort();
	net_start(net);
	(void)atexit(clean_up);
}

static void
turn(void)
{
	if (event_loop_once(vmm.loop, 0) != 0)
		abort();
}

/* A frame from the card; the wire's end is read empty, so that it goes on. */
static void
from_card(int fd, const uint8_t **p, const uint8_t *end)
{
	static uint8_t buf[NET_FRAME_MAX + 64];
	static const uint8_t ip4[] = "\x08\0\x45", ip6[] = "\x86\xdd\x60";
	struct iovec iov = { buf, fuzz_bytes(p, end, 2) };
	struct net_frame f = { .iov = &iov, .niov = 1, .flags = (uint8_t)fuzz_bytes(p, end, 1), .gso = (uint8_t)fuzz_bytes(p, end, 1) };
	size_t n;

	if (iov.iov_len < NET_HEADER)
		iov.iov_len = NET_HEADER;
	f.len = iov.iov_len;
	f.gso_size = (uint16_t)fuzz_bytes(p, end, 2);
	f.csum_start = (uint16_t)fuzz_bytes(p, end, 1);
	f.csum_off = (uint16_t)fuzz_bytes(p, end, 1);
	n = (size_t)(end - *p) < 80 ? (size_t)(end - *p) : 80;
	memset(buf, 0, sizeof(buf));
	memcpy(buf + 12, (f.gso & 4) != 0 ? ip6 : ip4, 3);
	memcpy(buf + 14, *p, n);
	*p += n;
	if (net_send(net, &f))
		net_flush(net);
	for (int i = 0; i < 200 && recv(fd, buf, sizeof(buf), MSG_DONTWAIT) > 0; i++)
		continue;
	turn();
}

size_t
fuzz_seed(unsigned n, uint8_t *buf, size_t max)
{
	/* A frame to the card; then one from it, of 200 bytes, to be cut. */
	static const uint8_t there[12 + 20 + 4] = { 0x10, 0, 32, 0, 2, 1, 0, 0, 0, 0, 0, 0, 14, 0, 4, 0 };
	static const uint8_t back[] = {
		0x10, 1, 200, 0, 1, 1, 16, 0, 34, 16, 0x45, 0, 0, 186, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 0, 80, 0, 80, 0, 0, 0, 0,
		0, 0, 0, 0, 0x50, 0x19,
	};
	const struct fuzz_input inputs[] = { { there, sizeof(there) }, { back, sizeof(back) } };

	return (fuzz_input(inputs, 2, n, buf, max));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *p = data, *end = data + size;
	uint8_t how;
	int fd;

	if (net == NULL)
		make();
	how = (uint8_t)fuzz_bytes(&p, end, 1);
	net_configure(net, how & 0xf, 1);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0)
		abort();
	if ((how & 0x10) != 0 && send(fd, hello, sizeof(hello), MSG_NOSIGNAL) != sizeof(hello))
		abort();
	turn();
	while (p < end) {
		size_t len;

		if ((fuzz_bytes(&p, end, 1) & 1) != 0) {
			from_card(fd, &p, end);
			continue;
		}
		len = (size_t)fuzz_bytes(&p, end, 2);
		len = len < (size_t)(end - p) ? len : (size_t)(end - p);
		(void)send(fd, p, len, MSG_NOSIGNAL | MSG_DONTWAIT);
		p += len;
		turn();
		net_ready(net);
	}
	close(fd);
	for (int i = 0; i < 100 && net->link; i++) {
		net_ready(net);
		turn();
	}
	turn();
	if (net->link)
		abort();
	return (0);
}
