/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * go.c - packets by which a debugger lets vCPUs go on and step (GDB manual, "Packets", "vCont").
 */
#include "../error.h"
#include "gdb_internal.h"

static bool
resume(struct gdb *g)
{
	if (gdb_resume(g) == 0)
		return (false);		/* it is answered by a stop */
	gdb_error(g, vm_errmsg());
	return (true);
}

/* c and s, C and S with a signal, which guests have none of; at another address perhaps. */
static bool
go(struct gdb *g, const char *p, enum gdb_action action)
{
	unsigned step = g->cpu_c < g->n ? g->cpu_c : g->cpu_g;
	uint64_t addr;

	if (*p == ';')
		p++;
	if (*p != '\0') {
		if (!rsp_number(&p, &addr) || *p != '\0') {
			gdb_malformed(g);
			return (true);
		}
		if (vm_set_register(g->cpus[step].vcpu, g->target->pc, addr) != 0) {
			gdb_error(g, vm_errmsg());
			return (true);
		}
	}
	for (unsigned i = 0; i < g->n; i++)
		g->cpus[i].action = action == GDB_GO ? GDB_GO : i == step ? action : GDB_HOLD;
	return (resume(g));
}

static bool
go_on(struct gdb *g, char *p, size_t len)
{
	return (go(g, p, GDB_GO));
}

static bool
step(struct gdb *g, char *p, size_t len)
{
	return (go(g, p, GDB_STEP));
}

static const char *
behind_signal(const char *p)
{
	uint64_t sig;

	(void)rsp_number(&p, &sig);
	return (p);
}

static bool
go_on_signal(struct gdb *g, char *p, size_t len)
{
	return (go(g, behind_signal(p), GDB_GO));
}

static bool
step_signal(struct gdb *g, char *p, size_t len)
{
	return (go(g, behind_signal(p), GDB_STEP));
}

/* One action of vCont, without its thread. */
static bool
parse_action(const char **p, struct gdb_cpu *c)
{
	uint64_t sig;
	char what = *(*p)++;

	switch (what) {
	case 'c':
		c->action = GDB_GO;
		return (true);
	case 's':
		c->action = GDB_STEP;
		return (true);
	case 'C':
	case 'S':
		c->action = what == 'C' ? GDB_GO : GDB_STEP;
		return (rsp_number(p, &sig));
	case 't':
		c->action = GDB_HOLD;
		return (true);
	case 'r':
		c->action = GDB_RANGE;
		return (gdb_range(p, '\0', &c->start, &c->end) && c->start <= c->end);
	default:
		return (false);
	}
}

/* ";action[:thread]...": of the actions that are for a thread, the first one counts; a thread that none is for stays where it is. */
static bool
vcont(struct gdb *g, char *packet, size_t len)
{
	bool taken[VM_MAXCPU] = { false }, any = false;
	const char *p = packet;

	for (unsigned i = 0; i < g->n; i++)
		g->cpus[i].action = GDB_HOLD;
	while (*p == ';') {
		struct gdb_cpu c = { .action = GDB_HOLD };
		unsigned cpu = g->n;

		p++;
		if (!parse_action(&p, &c) || (*p == ':' && (p++, !gdb_thread(g, &p, &cpu)))) {
			gdb_malformed(g);
			return (true);
		}
		for (unsigned i = 0; i < g->n; i++) {
			if ((cpu != g->n && cpu != i) || taken[i])
				continue;
			taken[i] = true;
			g->cpus[i].action = c.action;
			g->cpus[i].start = c.start;
			g->cpus[i].end = c.end;
			any |= c.action != GDB_HOLD;
		}
	}
	if (*p != '\0' || !any) {
		gdb_malformed(g);
		return (true);
	}
	return (resume(g));
}

static bool
vcont_query(struct gdb *g, char *p, size_t len)
{
	rsp_add(&g->reply, "vCont;c;C;s;S;t;r");
	return (true);
}

/* Of two that begin alike the longer one is first. */
const struct gdb_packet gdb_go_packets[] = {
	{ "C", true, go_on_signal },
	{ "c", true, go_on },
	{ "S", true, step_signal },
	{ "s", true, step },
	{ "vCont?", false, vcont_query },
	{ "vCont", true, vcont },
};
const size_t gdb_ngo_packets = sizeof(gdb_go_packets) / sizeof(gdb_go_packets[0]);
