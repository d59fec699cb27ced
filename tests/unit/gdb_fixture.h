/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * gdb_fixture.h - a VM of two vCPUs that count, with a server of gdb's remote serial protocol, and a client that knows the protocol's manual and
 * nothing else.
 */
#ifndef _GDB_FIXTURE_H_
#define	_GDB_FIXTURE_H_

#include <sys/socket.h>

#include "gdb/gdb.h"
#include "gdb/rsp.h"
#include "vmm_fixture.h"

#include <vmmapi/arm64.h>

#define	RAM	0x40000000ULL
#define	DATA	(RAM + 0x10000)
#define	NCPUS	2

/* A loop: sub x0, x0, #1; nop; str x0, [x1]; ldr x2, [x1]; b to the first. */
static const uint32_t code[] = { 0xd1000400, 0xd503201f, 0xf9000020, 0xf9400022, 0x17fffffc };
#define	AT_NOP		"40000004"
#define	AT_STORE	"40000008"

static struct vmctx *vm;
static struct vcpu *cpus[NCPUS];
static pthread_t threads[NCPUS];
static struct event_loop *loop;
static struct log *lg;
static char logged[4096];
static struct gdb *gdb;
static int peer = -1;
static unsigned holds, resets, power_offs;
static bool acks;

static inline void
log_line(void *arg, enum log_level level, const char *part, const char *text)
{
	size_t len = strlen(logged);

	(void)snprintf(logged + len, sizeof(logged) - len, "%s: %s\n", part, text);
}

/* The machine */

static inline void
own_stop(void *arg)
{
	holds++;
	if (vm != NULL)
		CHECK_EQ(vm_pause(vm), 0);
}

static inline void
own_go(void *arg)
{
	CHECK(holds > 0);
	holds--;
	if (vm != NULL)
		CHECK_EQ(vm_resume(vm), 0);
}

static inline void
own_reset(void *arg)
{
	resets++;
}

static inline void
own_power_off(void *arg)
{
	power_offs++;
}

static const struct gdb_owner owner = { .stop = own_stop, .go = own_go, .reset = own_reset, .power_off = own_power_off };

static inline void *
cpu_main(void *arg)
{
	struct vm_exit ex;

	do {
		CHECKF(vm_run(arg, &ex) == 0, "%s", vm_errmsg());
		if (ex.code == VM_EXIT_DEBUG)
			gdb_debug_exit(gdb, arg, &ex);
	} while (ex.code != VM_EXIT_SUSPENDED);
	return (NULL);
}

/* A VM whose vCPUs are about to run the loop, which the server knows. */
static inline void
vm_on(void)
{
	vm = tv_new(VM_ARCH_ARM64, 1 << 20, NCPUS);
	CHECK_EQ(vm_gpa_write(vm, RAM, code, sizeof(code)), 0);
	for (unsigned i = 0; i < NCPUS; i++) {
		cpus[i] = tv_cpu(vm, i);
		tv_set(cpus[i], VM_ARM64_REG_RUN_STATE, VM_ARM64_RUNNING);
		tv_set(cpus[i], VM_ARM64_REG_PC, RAM);
		tv_set(cpus[i], VM_ARM64_REG_X0, 1000000000000ULL * (i + 1));
		tv_set(cpus[i], VM_ARM64_REG_X0 + 1, DATA + 0x100 * i);
	}
	CHECKF(vm_start(vm) == 0, "%s", vm_errmsg());
	CHECKF(gdb_vm_on(gdb, vm, cpus, NCPUS) == 0, "%s", vmm_errmsg());
	if (holds != 0)
		CHECK_EQ(vm_pause(vm), 0);
	for (unsigned i = 0; i < NCPUS; i++)
		CHECK_EQ(pthread_create(&threads[i], NULL, cpu_main, cpus[i]), 0);
}

static inline void
vm_off(bool reset, int how)
{
	CHECK_EQ(vm_suspend(vm, VM_SUSPEND_POWEROFF), 0);
	for (unsigned i = 0; i < NCPUS; i++)
		pthread_join(threads[i], NULL);
	gdb_vm_off(gdb, reset, how);
	vm_close(vm);
	vm = NULL;
}

static inline void
dial(void)
{
	int fd[2];

	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
	CHECKF(gdb_serve(gdb, fd[0]) == 0, "%s", vmm_errmsg());
	peer = fd[1];
	acks = true;
}

static inline struct config *
keys(const char *text)
{
	struct config *cfg = config_new();

	CHECK(cfg != NULL && config_declare(cfg, "", &config_global_keys) == 0);
	CHECKF(config_load_text(cfg, "test", text, strlen(text)) == 0 && config_check(cfg) == 0, "%s", vmm_errmsg());
	return (cfg);
}

/* A guest that waits for its client. */
static inline void
setup(void)
{
	struct config *cfg = keys("gdb.wait=on\n");

	CHECK(!gdb_wanted(cfg));
	loop = event_loop_new();
	lg = log_new(log_line, NULL);
	CHECK(loop != NULL && lg != NULL);
	gdb = gdb_open(loop, lg, cfg, &owner);
	CHECKF(gdb != NULL, "%s", vmm_errmsg());
	config_free(cfg);
	vm_on();
	dial();
}

static inline void
teardown(void)
{
	if (vm != NULL)
		vm_off(false, 1);
	gdb_close(gdb);
	if (peer >= 0)
		close(peer);
	event_loop_free(loop);
	log_free(lg);
}

/* The client */

static inline void
put(const void *data, size_t len)
{
	CHECK_EQ(send(peer, data, len, MSG_NOSIGNAL), (ssize_t)len);
}

static inline void
put_packet(const char *text)
{
	char frame[RSP_MAX + 8];
	uint8_t sum = 0;
	int n;

	for (const char *p = text; *p != '\0'; p++)
		sum = (uint8_t)(sum + (uint8_t)*p);
	n = snprintf(frame, sizeof(frame), "$%s#%02x", text, sum);
	put(frame, (size_t)n);
}

/* The next byte that the server sends; the loop runs meanwhile. */
static inline char
get(void)
{
	char c;

	for (;;) {
		ssize_t n = recv(peer, &c, 1, MSG_DONTWAIT);

		if (n == 1)
			return (c);
		CHECKF(n != 0, "the server has hung up");
		(void)event_loop_once(loop, 10);
	}
}

/* The next packet, its runs at their length. */
static inline const char *
get_packet(void)
{
	static char text[2 * RSP_MAX];
	uint8_t sum = 0, given = 0;
	size_t len = 0;
	char c;

	while ((c = get()) != '$')
		CHECK(c == '+');
	while ((c = get()) != '#') {
		sum = (uint8_t)(sum + (uint8_t)c);
		if (c == '*') {
			char n = get();

			sum = (uint8_t)(sum + (uint8_t)n);
			CHECK(n >= 32 && n != '#' && n != '$' && n <= 126 && len > 0);
			for (int i = 0; i < n - 29; i++) {
				text[len] = text[len - 1];
				len++;
			}
		} else {
			text[len++] = c;
		}
		CHECK(len < sizeof(text) - 128);
	}
	for (unsigned i = 0; i < 2; i++) {
		c = get();
		given = (uint8_t)(given << 4 | (c >= 'a' ? c - 'a' + 10 : c - '0'));
	}
	CHECK_EQ(given, sum);
	/* It may have hung up behind it. */
	if (acks)
		(void)send(peer, "+", 1, MSG_NOSIGNAL);
	text[len] = '\0';
	return (text);
}

static inline const char *
ask(const char *text)
{
	put_packet(text);
	if (acks)
		CHECK_EQ(get(), '+');
	return (get_packet());
}

static inline void
turn(unsigned n)
{
	while (n-- > 0)
		(void)event_loop_once(loop, 0);
}

static inline bool
begins(const char *text, const char *with)
{
	return (strncmp(text, with, strlen(with)) == 0);
}

#define	EXPECT(packet, answer)	CHECK_STR(ask(packet), answer)
#define	REFUSED(packet)		CHECKF(begins(ask(packet), "E"), "%s is taken", (packet))

/* A client that has introduced itself. */
static inline void
open_stopped(void)
{
	setup();
	CHECK(strstr(ask("qSupported:swbreak+;hwbreak+;vContSupported+"), "vContSupported+") != NULL);
	CHECK_EQ(holds, 1);
	EXPECT("?", "T05thread:1;");
	CHECK(begins(ask("vCont?"), "vCont;c"));
}

#endif /* _GDB_FIXTURE_H_ */
