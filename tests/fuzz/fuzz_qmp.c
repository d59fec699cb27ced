/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz_qmp.c - a client of the control socket that says anything, in pieces, and a server that does so to hyve's own client.
 *
 * The first byte is how long the pieces are; the second, whether the client has negotiated already.  Whatever the server answers is JSON,
 * and one of the four messages that there are.
 */
#include <sys/socket.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/qmp.h"
#include "control/qmp_client.h"
#include "fuzz.h"
#include "machine/machine.h"

static const char *const seeds[] = {
	"\x40\x01{\"execute\": \"query-version\", \"id\": 1}\n{\"execute\": \"query-qmp-schema\", \"id\": [{}, null, 1.5e3, \"\\u00e9\"]}",
	"\x03\x00{\"execute\": \"query-status\"}{\"execute\": \"qmp_capabilities\", \"arguments\": {\"enable\": [\"oob\"]}}",
	"\x07\x00{\"execute\": \"qmp_capabilities\"}\r\n{\"execute\": \"stop\"}{\"execute\": \"query-status\"}{\"execute\": \"cont\"}",
	"\x10\x01{\"execute\": \"stop\", \"arguments\": {\"x\": [[[]]]}}}}}\nhello\n{\"execute\": \"stpo\"}\xff{\"exec-oob\": 1}\x01[]",
	"\xff\x01{\"execute\": \"x-hyve-query-config\"}{\"execute\": \"x-hyve-query-stats\"}{\"execute\": \"query-cpus-fast\"}{\"execute\": \"query-block\"}",
	"\x20\x01{\"execute\": \"system_powerdown\"}{\"execute\": \"stop\"}{\"execute\": \"system_powerdown\"}{\"execute\": \"inject-nmi\"}",
	"\x20\x01{\"execute\": \"stop\"}{\"execute\": \"system_reset\"}{\"execute\": \"query-status\"}{\"execute\": \"quit\"}",
	"\x05\x00{\"QMP\": {\"version\": {}, \"capabilities\": []}}\r\n{\"return\": {}, \"id\": 1}\r\n{\"event\": \"STOP\", \"timestamp\": {}}",
};

size_t
fuzz_seed(unsigned n, uint8_t *buf, size_t max)
{
	size_t len;

	if (n >= sizeof(seeds) / sizeof(seeds[0]))
		return (0);
	len = 2 + strlen(seeds[n] + 2);	/* the second byte may be zero */
	if (len > max)
		len = max;
	memcpy(buf, seeds[n], len);
	return (len);
}

static void
nothing(struct machine *m)
{
}

static const struct machine_class cls = { .name = "fuzz", .power_button = nothing, .nmi = nothing, .target = "aarch64" };
static struct vmm vmm;
static struct vcpu *vcpu;
static struct machine machine = { .cls = &cls, .vmm = &vmm, .ncpus = 1, .vcpus = &vcpu };

/* The VM is the same for all inputs. */
static void
setup(void)
{
	const struct vm_spec spec = { .size = sizeof(spec), .arch = VM_ARCH_ARM64, .accel = VM_ACCEL_SOFT };

	if (vmm.vm != NULL)
		return;
	vmm.vm = vm_new(&spec);
	vcpu = vmm.vm != NULL ? vm_vcpu_open(vmm.vm, 0) : NULL;
	vmm.loop = event_loop_new();
	vmm.config = config_new();
	if (vcpu == NULL || vmm.loop == NULL || vmm.config == NULL || config_declare(vmm.config, "", &config_global_keys) != 0 ||
	    config_check(vmm.config) != 0)
		abort();
}

/* What the server said so far: whole messages are looked at. */
static char *said;
static size_t nsaid, room;

static void
look(void)
{
	static const char *const kinds[] = { "QMP", "return", "error", "event" };
	char *end;

	while ((end = memmem(said, nsaid, "\r\n", 2)) != NULL) {
		size_t len = (size_t)(end - said), n = 0;
		json_t *msg = json_loadb(said, len, 0, NULL);

		for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
			n += json_object_get(msg, kinds[i]) != NULL;
		if (n != 1)
			abort();
		json_decref(msg);
		nsaid -= len + 2;
		memmove(said, end + 2, nsaid);
	}
}

static void
listen_to(int fd)
{
	ssize_t n;

	do {
		if (room - nsaid < 65536) {
			room += 1 << 18;
			said = realloc(said, room);
			if (said == NULL)
				abort();
		}
		n = recv(fd, said + nsaid, room - nsaid, MSG_DONTWAIT);
		if (n > 0)
			nsaid += (size_t)n;
		look();
	} while (n > 0);
}

static void
say(int fd, const char *bytes, size_t len)
{
	ssize_t n;

	while (len != 0) {
		n = send(fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n > 0) {
			bytes += n;
			len -= (size_t)n;
		}
		if (event_loop_once(vmm.loop, 0) != 0)
			abort();
		listen_to(fd);
	}
}

static void
to_server(const uint8_t *data, size_t size)
{
	static const char hello[] = "{\"execute\": \"qmp_capabilities\"}";
	struct qmp *q = qmp_new(&vmm, &machine);
	size_t piece = data[0] != 0 ? data[0] : 4096;
	int fds[2];

	if (q == NULL || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0 || qmp_add_peer(q, fds[1]) != 0)
		abort();
	nsaid = 0;
	if ((data[1] & 1) != 0)
		say(fds[0], hello, sizeof(hello) - 1);
	for (size_t at = 2; at < size; at += piece)
		say(fds[0], (const char *)data + at, size - at < piece ? size - at : piece);
	/* All that was asked is answered before the server hangs up. */
	(void)shutdown(fds[0], SHUT_WR);
	for (int i = 0; i < 64; i++) {
		if (event_loop_once(vmm.loop, 0) != 0)
			abort();
		listen_to(fds[0]);
	}
	if (nsaid != 0)
		abort();
	close(fds[0]);
	qmp_free(q);
	(void)vm_unsuspend(vmm.vm);
}

static void
to_client(const uint8_t *data, size_t size)
{
	struct qmp_client *c;
	json_t *msg;
	int fds[2], room_for = 1 << 20;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0)
		abort();
	(void)setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &room_for, sizeof(room_for));
	(void)send(fds[1], data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
	(void)shutdown(fds[1], SHUT_WR);
	c = qmp_client_open_fd(fds[0], "fuzz", 60000);
	while (c != NULL && (msg = qmp_client_event(c, NULL, 60000)) != NULL)
		json_decref(msg);
	qmp_client_close(c);
	close(fds[1]);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	setup();
	if (size < 2)
		return (0);
	to_server(data, size);
	to_client(data + 2, size - 2);
	return (0);
}
