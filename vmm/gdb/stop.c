/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stop.c - vCPUs stop and go on, together, as a debugger wants it.
 *
 * A vCPU that came to a point pauses the VM on its own thread, so that nothing runs on behind it, and leaves the rest to the control thread: that
 * lets the machine stand still in its owner's way and undoes the vCPU's pause.
 */
#include <inttypes.h>
#include <string.h>

#include "../error.h"
#include "gdb_internal.h"

#define	SIGTRAP_	5U		/* gdb's numbers of signals are its own */

/* What a vCPU does, 0: it executes instructions. */
static uint64_t
run_state(struct gdb *g, unsigned i)
{
	uint64_t val = 0;

	return (vm_get_register(g->cpus[i].vcpu, g->target->run_state, &val) == 0 ? val : 0);
}

const char *
gdb_state(struct gdb *g, unsigned cpu)
{
	uint64_t state = run_state(g, cpu), n = 0;

	while (n < state && g->target->states[n] != NULL)
		n++;
	return (g->target->states[n] != NULL ? g->target->states[n] : "does not run");
}

/*
 * One that steps is not led away by an interrupt: its handler is seldom what somebody wants to step through, and as interrupts come by the
 * host's time, it would be all that is ever stepped through.  One that waits for an interrupt gets it.  A back end that cannot hold
 * interrupts off steps without.
 */
static int
set_step(struct gdb *g, unsigned i, bool step)
{
	struct gdb_cpu *c = &g->cpus[i];
	int on = 0;

	if (vm_get_capability(c->vcpu, VM_CAP_SINGLE_STEP, &on) == 0 && (on == 1) == step && !c->masked)
		return (0);
	if (vm_set_capability(c->vcpu, VM_CAP_SINGLE_STEP, step) != 0)
		return (-1);
	if (step ? run_state(g, i) == 0 : c->masked)
		c->masked = vm_set_capability(c->vcpu, VM_CAP_MASK_INTR, step) == 0 && step;
	return (0);
}

void
gdb_stop(struct gdb *g)
{
	if (!g->stopped) {
		g->stopped = true;
		g->owner.stop(g->owner.arg);
	}
	for (unsigned i = 0; i < g->n && g->vm != NULL; i++) {
		(void)vm_vcpu_hold(g->cpus[i].vcpu, false);
		(void)set_step(g, i, false);
	}
}

/*
 * The points as the client has them.  A debugger takes them away while it steps over one: a vCPU that steps does not stop at instructions anyway,
 * so those stay until something is to run, as it costs decoded code to add them again.
 */
int
gdb_apply_points(struct gdb *g, bool steps_only)
{
	struct vm_debug_point p[VM_DEBUG_MAX];
	unsigned n = 0;

	for (unsigned i = 0; i < g->nset && steps_only; i++) {
		if (g->set[i].kind == VM_DEBUG_EXEC)
			p[n++] = g->set[i];
	}
	for (unsigned i = 0; i < g->npoints; i++) {
		bool there = false;

		for (unsigned k = 0; k < n && g->points[i].p.kind == VM_DEBUG_EXEC; k++)
			there |= p[k].kind == VM_DEBUG_EXEC && p[k].addr == g->points[i].p.addr;
		if (!there && n < VM_DEBUG_MAX)
			p[n++] = g->points[i].p;
	}
	if (vm_debug_set(g->vm, p, n) != 0)
		return (-1);
	memcpy(g->set, p, n * sizeof(p[0]));
	g->nset = n;
	return (0);
}

int
gdb_go(struct gdb *g)
{
	bool steps_only = true;

	if (g->vm != NULL) {
		for (unsigned i = 0; i < g->n; i++)
			steps_only &= g->cpus[i].action != GDB_GO;
		if (gdb_apply_points(g, steps_only) != 0)
			return (-1);
		for (unsigned i = 0; i < g->n; i++) {
			struct gdb_cpu *c = &g->cpus[i];

			if (set_step(g, i, c->action == GDB_STEP || c->action == GDB_RANGE) != 0 ||
			    vm_vcpu_hold(c->vcpu, c->action == GDB_HOLD) != 0) {
				gdb_stop(g);
				return (-1);
			}
		}
	}
	if (g->stopped) {
		g->stopped = false;
		g->owner.go(g->owner.arg);
	}
	return (0);
}

/* One at an instruction stops there again, if somebody still wants it to; what it accessed is behind it. */
static void
forget_hits(struct gdb *g, bool all)
{
	pthread_mutex_lock(&g->lock);
	for (unsigned i = 0; i < g->n; i++) {
		struct gdb_cpu *c = &g->cpus[i];

		c->hit &= !all && c->exit.u.debug.why == VM_DEBUG_AT_POINT && c->exit.u.debug.kind != VM_DEBUG_EXEC;
	}
	pthread_mutex_unlock(&g->lock);
}

int
gdb_resume(struct gdb *g)
{
	forget_hits(g, false);
	g->wait = false;
	g->owes = true;
	if (gdb_tell_hit(g))
		return (0);
	if (gdb_go(g) == 0)
		return (0);
	g->owes = false;
	return (-1);
}

void
gdb_release(struct gdb *g)
{
	gdb_stop(g);
	forget_hits(g, true);
	g->npoints = 0;
	for (unsigned i = 0; i < g->n; i++)
		g->cpus[i].action = GDB_GO;
	if (gdb_go(g) != 0)
		log_msg(g->log, LOG_LEVEL_ERROR, "gdb", "%s", vm_errmsg());
}

void
gdb_tell(struct gdb *g, unsigned cpu, unsigned signal, const char *reason)
{
	struct rsp_text *t = &g->reply;

	g->owes = false;
	g->cpu_g = cpu;
	t->len = 0;
	t->full = false;
	rsp_add(t, "T%02xthread:%x;%s", signal, cpu + 1, reason);
	gdb_send(g, t);
}

/* The words for why a vCPU stopped (GDB manual, "Stop Reply Packets"). */
static void
reason_of(struct gdb *g, const struct vm_exit *exit, char reason[48])
{
	static const char *const data[] = { [VM_DEBUG_WRITE] = "watch", [VM_DEBUG_READ] = "rwatch", [VM_DEBUG_ACCESS] = "awatch" };
	unsigned type = 1;

	reason[0] = '\0';
	if (exit->u.debug.why != VM_DEBUG_AT_POINT)
		return;
	if (exit->u.debug.kind != VM_DEBUG_EXEC) {
		(void)snprintf(reason, 48, "%s:%" PRIx64 ";", data[exit->u.debug.kind], exit->u.debug.addr);
		return;
	}
	for (unsigned i = 0; i < g->npoints; i++) {
		if (g->points[i].type == 0 && g->points[i].p.addr == exit->u.debug.addr)
			type = 0;
	}
	if (type == 0 ? g->swbreak : g->hwbreak)
		(void)snprintf(reason, 48, "%s:;", type == 0 ? "swbreak" : "hwbreak");
}

/*
 * Is there something to tell of a vCPU?  Its thread may come with what happened before the client let it go on the last time: a point that is
 * there no more, then.  With the lock held.
 */
static bool
has_hit(struct gdb *g, struct gdb_cpu *c)
{
	const struct vm_exit *e = &c->exit;
	bool there = c->hit && e->u.debug.why != VM_DEBUG_AT_POINT;

	for (unsigned i = 0; i < g->npoints && c->hit; i++) {
		const struct vm_debug_point *p = &g->points[i].p;

		there |= e->u.debug.kind == (uint8_t)p->kind && e->u.debug.addr >= p->addr && e->u.debug.addr - p->addr < p->len;
	}
	c->hit = there;
	return (there);
}

bool
gdb_tell_hit(struct gdb *g)
{
	struct vm_exit exit = { 0 };
	unsigned cpu = VM_MAXCPU;
	char reason[48];

	pthread_mutex_lock(&g->lock);
	for (unsigned k = 0; k < g->n && cpu == VM_MAXCPU; k++) {
		/* The one that is looked at comes first. */
		unsigned i = (g->cpu_g + k) % g->n;

		if (has_hit(g, &g->cpus[i])) {
			g->cpus[i].hit = false;
			exit = g->cpus[i].exit;
			cpu = i;
		}
	}
	pthread_mutex_unlock(&g->lock);
	if (cpu == VM_MAXCPU)
		return (false);
	reason_of(g, &exit, reason);
	gdb_tell(g, cpu, SIGTRAP_, reason);
	return (true);
}

void
gdb_on_hit(void *arg)
{
	struct gdb *g = arg;
	struct vmctx *vm;
	unsigned pauses;
	bool hit = false;

	pthread_mutex_lock(&g->lock);
	vm = g->vm;
	pauses = g->pauses;
	g->pauses = 0;
	for (unsigned i = 0; i < g->n; i++)
		hit |= has_hit(g, &g->cpus[i]);
	pthread_mutex_unlock(&g->lock);
	if (vm == NULL)
		return;
	/* It may have been told, or the client be gone, since. */
	if (hit && g->attached)
		gdb_stop(g);
	for (; pauses > 0; pauses--)
		(void)vm_resume(vm);
	/* One that has come since has armed the timer again: it is told once everything stands. */
	if (hit && g->owes)
		(void)gdb_tell_hit(g);
}

/* A step in the range that the client is to hear of: at a point of its own; or asleep, where interrupts must not be held off. */
static bool
ends_range(struct gdb *g, unsigned cpu, uint64_t pc)
{
	for (unsigned i = 0; i < g->npoints; i++) {
		if (g->points[i].p.kind == VM_DEBUG_EXEC && g->points[i].p.addr == pc)
			return (true);
	}
	return (run_state(g, cpu) != 0);
}

void
gdb_debug_exit(struct gdb *g, struct vcpu *vcpu, const struct vm_exit *exit)
{
	struct gdb_cpu *c = &g->cpus[vcpu_id(vcpu)];
	uint64_t pc = 0;

	if (exit->u.debug.why == VM_DEBUG_BY_GUEST)
		return;
	/* Actions change only while every vCPU is parked. */
	if (exit->u.debug.why == VM_DEBUG_BY_STEP) {
		if (c->action != GDB_STEP && c->action != GDB_RANGE)
			return;
		if (c->action == GDB_RANGE && vm_get_register(vcpu, g->target->pc, &pc) == 0 && pc >= c->start && pc < c->end &&
		    !ends_range(g, (unsigned)vcpu_id(vcpu), pc))
			return;
	}
	if (vm_pause(vm_vcpu_ctx(vcpu)) != 0)
		return;
	pthread_mutex_lock(&g->lock);
	c->hit = true;
	c->exit = *exit;
	g->pauses++;
	pthread_mutex_unlock(&g->lock);
	event_timer_arm(g->hit, 0);
}

/* Breakpoints and watchpoints */

static const enum vm_debug_kind kinds[] = { VM_DEBUG_EXEC, VM_DEBUG_EXEC, VM_DEBUG_WRITE, VM_DEBUG_READ, VM_DEBUG_ACCESS };

static struct gdb_point *
find(struct gdb *g, unsigned type, uint64_t addr, uint64_t len)
{
	for (unsigned i = 0; i < g->npoints; i++) {
		struct gdb_point *p = &g->points[i];

		if (p->type == type && p->p.addr == addr && p->p.len == len)
			return (p);
	}
	return (NULL);
}

/* Whether the VM can have it is found out at once: the client tells its user now. */
int
gdb_point_add(struct gdb *g, unsigned type, uint64_t addr, uint64_t len)
{
	struct gdb_point *p = find(g, type, addr, len);

	if (p != NULL)
		return (0);
	if (g->npoints == VM_DEBUG_MAX)
		return (-1);
	p = &g->points[g->npoints++];
	*p = (struct gdb_point){ .type = type, .p = { .kind = kinds[type], .addr = addr, .len = len } };
	for (unsigned i = 0; i < g->nset; i++) {
		if (g->set[i].kind == p->p.kind && g->set[i].addr == addr && g->set[i].len == len)
			return (0);
	}
	if (gdb_apply_points(g, false) == 0)
		return (0);
	g->npoints--;
	return (-1);
}

void
gdb_point_remove(struct gdb *g, unsigned type, uint64_t addr, uint64_t len)
{
	struct gdb_point *p = find(g, type, addr, len);

	if (p != NULL)
		*p = g->points[--g->npoints];
}
