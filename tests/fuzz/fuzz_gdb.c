/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz_gdb.c - what a client of the server for gdb may say: packets, pieces of them, noise.
 *
 * The first byte says whether checksums count, and in how large pieces the rest comes.  Answers are packets with their checksums, and
 * behind the client's end nothing holds the machine.
 */
#include <sys/socket.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "event/event.h"
#include "fuzz.h"
#include "gdb/gdb.h"

static struct vmctx *vm;
static struct vcpu *cpus[2];
static struct event_loop *loop;
static struct gdb *gdb;
static unsigned holds;
static bool reset;

static const char *const seeds[] = {
	"?", "qSupported:multiprocess+;swbreak+;hwbreak+", "qXfer:features:read:target.xml:0,ffb", "g", "p20", "P1=0102030405060708", "Hg2", "T1",
	"m40000000,40", "M40000000,4:01020304", "X40000000,3:a}\x03z", "Z0,40000000,4", "z0,40000000,4", "Z2,40000000,8", "vCont?", "vCont;c", "vCont;s:1;c",
	"vCont;r40000000,40000010:1", "c", "s40000000", "C05", "qfThreadInfo", "qsThreadInfo", "qThreadExtraInfo,1", "qRcmd,68656c70", "qRcmd,7265736574",
	"qC", "qAttached", "D", "k", "vKill;1", "QStartNoAckMode", "G00", "qRcmd,706879736963616c206f6e",
};

static void
own_stop(void *arg)
{
	holds++;
	(void)vm_pause(vm);
}

static void
own_go(void *arg)
{
	if (holds-- == 0)
		abort();
	(void)vm_resume(vm);
}

static void
own_reset(void *arg)
{
	reset = true;
}

static void
own_power_off(void *arg)
{
}

static void
clean_up(void)
{
	gdb_vm_off(gdb, false, 0);
	gdb_close(gdb);
	event_loop_free(loop);
	vm_close(vm);
}

static void
set_up(void)
{
	static const struct gdb_owner owner = { .stop = own_stop, .go = own_go, .reset = own_reset, .power_off = own_power_off };
	struct vm_spec spec = { .size = sizeof(spec), .arch = VM_ARCH_ARM64, .accel = VM_ACCEL_SOFT };

	vm = vm_new(&spec);
	loop = event_loop_new();
	if (vm == NULL || loop == NULL || vm_setup_memory(vm, 1 << 20, VM_MMAP_ALL) != 0)
		abort();
	for (int i = 0; i < 2; i++)
		cpus[i] = vm_vcpu_open(vm, i);
	gdb = gdb_open(loop, NULL, NULL, &owner);
	if (gdb == NULL || vm_start(vm) != 0 || gdb_vm_on(gdb, vm, cpus, 2) != 0)
		abort();
	(void)atexit(clean_up);
}

/* What the server said: each packet has its checksum. */
static void
listen_to(int fd)
{
	static enum { NONE, INSIDE, FIRST, SECOND } state;
	static uint8_t sum, given;
	uint8_t buf[4096];
	ssize_t n;

	if (fd < 0) {
		state = NONE;
		return;
	}
	while ((n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT)) > 0) {
		for (ssize_t i = 0; i < n; i++) {
			uint8_t c = buf[i];

			switch (state) {
			case NONE:
				if (c != '+' && c != '-' && c != '$')
					abort();
				state = c == '$' ? INSIDE : NONE;
				sum = given = 0;
				break;
			case INSIDE:
				if (c == '$')
					abort();
				if (c == '#')
					state = FIRST;
				else
					sum = (uint8_t)(sum + c);
				break;
			default:
				given = (uint8_t)(given << 4 | (c >= 'a' ? c - 'a' + 10 : c - '0'));
				if (state == SECOND && given != sum)
					abort();
				state = state == FIRST ? SECOND : NONE;
				break;
			}
		}
	}
}

static void
turn(int fd, unsigned n)
{
	while (n-- > 0) {
		(void)event_loop_once(loop, 0);
		listen_to(fd);
		if (!reset)
			continue;
		reset = false;
		gdb_vm_off(gdb, true, 0);
		if (gdb_vm_on(gdb, vm, cpus, 2) != 0)
			abort();
	}
}

size_t
fuzz_seed(unsigned n, uint8_t *buf, size_t max)
{
	size_t len = 0;

	if (n > sizeof(seeds) / sizeof(seeds[0]))
		return (0);
	/* Each alone, and all in a row. */
	buf[len++] = (uint8_t)(n | 1);
	for (unsigned i = 0; i < sizeof(seeds) / sizeof(seeds[0]); i++) {
		if (n != sizeof(seeds) / sizeof(seeds[0]) && n != i)
			continue;
		if (len + strlen(seeds[i]) + 4 > max)
			break;
		len += (size_t)sprintf((char *)buf + len, "$%s#00", seeds[i]);
	}
	return (len);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char no_ack[] = "$QStartNoAckMode#b0";
	size_t piece;
	int fd[2];

	if (vm == NULL)
		set_up();
	if (size == 0)
		return (0);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd) != 0 || gdb_serve(gdb, fd[0]) != 0)
		abort();
	listen_to(-1);
	if ((data[0] & 1) != 0)
		(void)send(fd[1], no_ack, sizeof(no_ack) - 1, MSG_NOSIGNAL);
	turn(fd[1], 2);
	piece = 1U << (data[0] >> 1 & 7);
	if (size > 4096)
		piece = size;
	for (size_t at = 1; at < size; at += piece) {
		(void)send(fd[1], data + at, size - at < piece ? size - at : piece, MSG_NOSIGNAL);
		turn(fd[1], 1);
	}
	turn(fd[1], 4);
	close(fd[1]);
	for (unsigned i = 0; i < 100000 && holds != 0; i++)
		turn(-1, 1);
	if (holds != 0)
		abort();
	/* The last event may be the end of one that was let go already. */
	turn(-1, 2);
	return (0);
}
