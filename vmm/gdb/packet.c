/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * packet.c - what a debugger asks for, packet by packet (GDB manual, "Packets", "General Query Packets").
 *
 * A packet is a row of a table: how it begins, and the function that answers.  What nobody knows is answered with nothing, as the
 * protocol has it.  Words of errors begin with "E.", which gdb shows its user.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "../error.h"
#include "gdb_internal.h"

void
gdb_error(struct gdb *g, const char *text)
{
	g->reply.len = 0;
	rsp_add(&g->reply, "E.%s", text);
}

void
gdb_malformed(struct gdb *g)
{
	gdb_error(g, "the packet is malformed");
}

static void
ok(struct gdb *g)
{
	rsp_add(&g->reply, "OK");
}

struct vcpu *
gdb_looked_at(struct gdb *g)
{
	return (g->cpus[g->cpu_g].vcpu);
}

/* A thread: true with its vCPU, g->n for all of them.  0 is any one: that which is looked at. */
bool
gdb_thread(struct gdb *g, const char **p, unsigned *cpu)
{
	uint64_t id;

	if (strncmp(*p, "-1", 2) == 0) {
		*p += 2;
		*cpu = g->n;
		return (true);
	}
	if (!rsp_number(p, &id) || id > g->n)
		return (false);
	*cpu = id == 0 ? g->cpu_g : (unsigned)id - 1;
	return (true);
}

/* Registers */

static size_t
bytes_of(const struct gdb_reg *r)
{
	return (((size_t)r->bits + 7) / 8);
}

static bool
read_registers(struct gdb *g, char *p, size_t len)
{
	const struct gdb_reg *r;
	uint8_t val[GDB_REG_MAX];

	for (unsigned n = 0; (r = gdb_target_reg(g->target, n)) != NULL; n++) {
		if (gdb_reg_get(gdb_looked_at(g), r, val) != 0) {
			gdb_error(g, vm_errmsg());
			return (true);
		}
		rsp_add_hex(&g->reply, val, bytes_of(r));
	}
	return (true);
}

/* Only what is new is set: some registers take no value at all. */
static int
set_if_new(struct gdb *g, const struct gdb_reg *r, const uint8_t *val)
{
	uint8_t old[GDB_REG_MAX];

	if (gdb_reg_get(gdb_looked_at(g), r, old) == 0 && memcmp(old, val, bytes_of(r)) == 0)
		return (0);
	return (gdb_reg_set(gdb_looked_at(g), r, val));
}

static bool
write_registers(struct gdb *g, char *p, size_t len)
{
	const struct gdb_reg *r;
	const char *at = p;
	uint8_t val[GDB_REG_MAX];

	for (unsigned n = 0; *at != '\0' && (r = gdb_target_reg(g->target, n)) != NULL; n++) {
		memset(val, 0, sizeof(val));
		if (!rsp_bytes(&at, val, bytes_of(r))) {
			gdb_malformed(g);
			return (true);
		}
		if (set_if_new(g, r, val) != 0) {
			gdb_error(g, vm_errmsg());
			return (true);
		}
	}
	ok(g);
	return (true);
}

static bool
read_register(struct gdb *g, char *p, size_t len)
{
	const struct gdb_reg *r = NULL;
	uint8_t val[GDB_REG_MAX];
	const char *at = p;
	uint64_t n;

	if (!rsp_number(&at, &n) || (r = gdb_target_reg(g->target, n)) == NULL)
		gdb_error(g, "there is no such register");
	else if (gdb_reg_get(gdb_looked_at(g), r, val) != 0)
		gdb_error(g, vm_errmsg());
	else
		rsp_add_hex(&g->reply, val, bytes_of(r));
	return (true);
}

static bool
write_register(struct gdb *g, char *p, size_t len)
{
	const struct gdb_reg *r = NULL;
	uint8_t val[GDB_REG_MAX] = { 0 };
	const char *at = p;
	uint64_t n;

	if (!rsp_number(&at, &n) || *at++ != '=' || (r = gdb_target_reg(g->target, n)) == NULL)
		gdb_error(g, "there is no such register");
	else if (!rsp_bytes(&at, val, bytes_of(r)))
		gdb_malformed(g);
	else if (gdb_reg_set(gdb_looked_at(g), r, val) != 0)
		gdb_error(g, vm_errmsg());
	else
		ok(g);
	return (true);
}

/* Memory */

/* "addr,length", and what is to follow. */
bool
gdb_range(const char **p, char end, uint64_t *addr, uint64_t *len)
{
	if (!rsp_number(p, addr) || *(*p)++ != ',' || !rsp_number(p, len))
		return (false);
	return (end == '\0' || *(*p)++ == end);
}

static bool
read_memory(struct gdb *g, char *p, size_t packet_len)
{
	uint8_t buf[RSP_MAX / 2];
	uint64_t addr, len;
	const char *at = p;
	size_t n;

	if (!gdb_range(&at, '\0', &addr, &len)) {
		gdb_malformed(g);
		return (true);
	}
	if (len > sizeof(buf))
		len = sizeof(buf);
	/* A part is an answer; nothing is not, unless that was asked for.  Here gdb takes a number alone for an error: EFAULT. */
	n = gdb_mem_read(g, addr, buf, (size_t)len);
	if (n == 0 && len != 0)
		rsp_add(&g->reply, "E0e");
	else
		rsp_add_hex(&g->reply, buf, n);
	return (true);
}

static void
write_memory(struct gdb *g, uint64_t addr, const void *buf, size_t len)
{
	if (gdb_mem_write(g, addr, buf, len) != len)
		gdb_error(g, "there is no memory at this address that can be written");
	else
		ok(g);
}

static bool
write_memory_hex(struct gdb *g, char *p, size_t packet_len)
{
	uint8_t buf[RSP_MAX / 2];
	uint64_t addr, len;
	const char *at = p;

	if (!gdb_range(&at, ':', &addr, &len) || len > sizeof(buf) || !rsp_bytes(&at, buf, (size_t)len) || *at != '\0')
		gdb_malformed(g);
	else
		write_memory(g, addr, buf, (size_t)len);
	return (true);
}

static bool
write_memory_binary(struct gdb *g, char *p, size_t packet_len)
{
	uint64_t addr, len;
	const char *at = p;
	size_t left;

	if (!gdb_range(&at, ':', &addr, &len)) {
		gdb_malformed(g);
		return (true);
	}
	left = rsp_unescape(p + (at - p), packet_len - (size_t)(at - p));
	if (left != len)
		gdb_malformed(g);
	else
		write_memory(g, addr, at, left);
	return (true);
}

/* Breakpoints */

static bool
point(struct gdb *g, const char *p, bool add)
{
	uint64_t addr, len;
	unsigned type = (unsigned)(*p - '0');
	const char *at = p + 2;

	if (*p < '0' || *p > '4')
		return (true);		/* not known */
	if (p[1] != ',' || !gdb_range(&at, '\0', &addr, &len) || (*at != '\0' && *at != ';')) {
		gdb_malformed(g);
		return (true);
	}
	if (len == 0 || len > 4096)
		gdb_error(g, "a breakpoint or watchpoint has 1 to 4096 bytes");
	else if (add && gdb_point_add(g, type, addr, len) != 0)
		gdb_error(g, g->npoints == VM_DEBUG_MAX ? "there are too many breakpoints and watchpoints" : vm_errmsg());
	else {
		if (!add)
			gdb_point_remove(g, type, addr, len);
		ok(g);
	}
	return (true);
}

static bool
point_add(struct gdb *g, char *p, size_t len)
{
	return (point(g, p, true));
}

static bool
point_remove(struct gdb *g, char *p, size_t len)
{
	return (point(g, p, false));
}

/* Threads */

static bool
why(struct gdb *g, char *p, size_t len)
{
	if (!gdb_tell_hit(g))
		gdb_tell(g, g->cpu_g, 5, "");
	return (false);
}

static bool
choose_thread(struct gdb *g, char *p, size_t len)
{
	const char *at = p + 1;
	unsigned cpu;

	if ((*p != 'g' && *p != 'c') || !gdb_thread(g, &at, &cpu)) {
		gdb_error(g, "there is no such thread");
		return (true);
	}
	if (*p == 'c')
		g->cpu_c = cpu;
	else if (cpu < g->n)
		g->cpu_g = cpu;
	ok(g);
	return (true);
}

static bool
thread_alive(struct gdb *g, char *p, size_t len)
{
	const char *at = p;
	unsigned cpu;

	if (gdb_thread(g, &at, &cpu) && cpu < g->n)
		ok(g);
	else
		gdb_error(g, "there is no such thread");
	return (true);
}

static bool
current_thread(struct gdb *g, char *p, size_t len)
{
	if (len == 0)
		rsp_add(&g->reply, "QC%x", g->cpu_g + 1);
	return (true);
}

static bool
more_threads(struct gdb *g, char *p, size_t len)
{
	if (g->listed >= g->n) {
		rsp_add(&g->reply, "l");
		return (true);
	}
	for (unsigned i = g->listed; i < g->n; i++)
		rsp_add(&g->reply, "%c%x", i == g->listed ? 'm' : ',', i + 1);
	g->listed = g->n;
	return (true);
}

static bool
first_threads(struct gdb *g, char *p, size_t len)
{
	g->listed = 0;
	return (more_threads(g, p, len));
}

static bool
thread_info(struct gdb *g, char *p, size_t len)
{
	const char *at = p;
	char text[64];
	unsigned cpu;

	if (!gdb_thread(g, &at, &cpu) || cpu >= g->n) {
		gdb_error(g, "there is no such thread");
		return (true);
	}
	(void)snprintf(text, sizeof(text), "vCPU %u: %s", cpu, gdb_state(g, cpu));
	rsp_add_hex(&g->reply, text, strlen(text));
	return (true);
}

/* The connection */

static bool
supported(struct gdb *g, char *p, size_t len)
{
	g->swbreak = strstr(p, "swbreak+") != NULL;
	g->hwbreak = strstr(p, "hwbreak+") != NULL;
	rsp_add(&g->reply, "PacketSize=%x;QStartNoAckMode+;qXfer:features:read+;swbreak+;hwbreak+;vContSupported+;multiprocess-", RSP_MAX);
	return (true);
}

static bool
features(struct gdb *g, char *p, size_t len)
{
	static const char name[] = "target.xml:";
	const char *at = p + sizeof(name) - 1;
	uint64_t off, n;
	size_t all = strlen(g->xml);

	if (strncmp(p, name, sizeof(name) - 1) != 0) {
		gdb_error(g, "there is only target.xml");
		return (true);
	}
	if (!gdb_range(&at, '\0', &off, &n)) {
		gdb_malformed(g);
		return (true);
	}
	if (off > all)
		off = all;
	/* Each character may take two. */
	if (n > RSP_MAX / 2 - 1)
		n = RSP_MAX / 2 - 1;
	if (n > all - off)
		n = all - off;
	rsp_add(&g->reply, "%c", off + n == all ? 'l' : 'm');
	rsp_add_data(&g->reply, g->xml + off, (size_t)n);
	return (true);
}

static bool
no_ack(struct gdb *g, char *p, size_t len)
{
	/* This packet was acknowledged; its answer is yet, which makes no difference here. */
	g->no_ack = true;
	ok(g);
	return (true);
}

static bool
attached(struct gdb *g, char *p, size_t len)
{
	rsp_add(&g->reply, "1");
	return (true);
}

static bool
yes(struct gdb *g, char *p, size_t len)
{
	ok(g);
	return (true);
}

static bool
detach(struct gdb *g, char *p, size_t len)
{
	ok(g);
	gdb_send(g, &g->reply);
	g->wait = false;
	gdb_drop(g, "it has detached");
	return (false);
}

static bool
kill_vm(struct gdb *g, char *p, size_t len)
{
	g->owner.power_off(g->owner.arg);
	return (false);
}

static bool
kill_vm_answered(struct gdb *g, char *p, size_t len)
{
	ok(g);
	g->owner.power_off(g->owner.arg);
	return (true);
}

static bool
command(struct gdb *g, char *p, size_t len)
{
	static struct rsp_text out;	/* the control thread's */
	char line[256];
	const char *at = p;
	size_t n = len / 2;

	if (len % 2 != 0 || n >= sizeof(line) || !rsp_bytes(&at, line, n)) {
		gdb_malformed(g);
		return (true);
	}
	line[n] = '\0';
	out.len = 0;
	if (!gdb_monitor(g, line, &out))
		return (false);
	if (out.len == 0)
		ok(g);
	else
		rsp_add_hex(&g->reply, out.text, out.len < RSP_MAX / 2 ? out.len : RSP_MAX / 2);
	return (true);
}

/* Of two that begin alike the longer one is first. */
static const struct gdb_packet packets[] = {
	{ "?", true, why },
	{ "D", false, detach },
	{ "G", true, write_registers },
	{ "g", true, read_registers },
	{ "H", false, choose_thread },
	{ "k", false, kill_vm },
	{ "M", true, write_memory_hex },
	{ "m", true, read_memory },
	{ "P", true, write_register },
	{ "p", true, read_register },
	{ "qAttached", false, attached },
	{ "qC", false, current_thread },
	{ "qfThreadInfo", false, first_threads },
	{ "qRcmd,", true, command },
	{ "qsThreadInfo", false, more_threads },
	{ "QStartNoAckMode", false, no_ack },
	{ "qSupported", false, supported },
	{ "qSymbol::", false, yes },
	{ "qThreadExtraInfo,", true, thread_info },
	{ "qXfer:features:read:", false, features },
	{ "T", false, thread_alive },
	{ "vKill;", false, kill_vm_answered },
	{ "X", true, write_memory_binary },
	{ "Z", true, point_add },
	{ "z", true, point_remove },
};

static const struct gdb_packet *
find(const struct gdb_packet *list, size_t n, const char *text)
{
	for (size_t i = 0; i < n; i++) {
		if (strncmp(text, list[i].begin, strlen(list[i].begin)) == 0)
			return (&list[i]);
	}
	return (NULL);
}

void
gdb_packet(struct gdb *g, char *text, size_t len)
{
	const struct gdb_packet *p = find(packets, sizeof(packets) / sizeof(packets[0]), text);
	size_t n;

	if (p == NULL)
		p = find(gdb_go_packets, gdb_ngo_packets, text);
	g->reply.len = 0;
	g->reply.full = false;
	if (p != NULL && g->vm == NULL) {
		gdb_error(g, "there is no VM now");
	} else if (p != NULL && p->stopped && !g->stopped) {
		gdb_error(g, "the guest runs");
	} else if (p != NULL) {
		n = strlen(p->begin);
		if (!p->fn(g, text + n, len - n))
			return;
	}
	gdb_send(g, &g->reply);
}
