/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * qmp_run.c - commands that stop a VM and let it go on, and its life's events.
 */
#include <errno.h>

#include "../error.h"
#include "../hold.h"
#include "../machine/machine.h"
#include "qmp_internal.h"

/* A VM that can be told something: not between two lives. */
static struct vmctx *
vm_of(const struct qmp_call *call)
{
	struct vmctx *vm = call->q->vmm->vm;

	return (vm != NULL ? vm : vmm_fail_null(EAGAIN, "the VM is being started anew; try again"));
}

/* The machine, if there is one. */
static struct machine *
machine_of(const struct qmp_call *call)
{
	struct machine *m = call->q->machine;

	if (vm_of(call) == NULL)
		return (NULL);
	return (m != NULL && m->cls != NULL ? m : vmm_fail_null(ENOTSUP, "this VM has no machine around its processors"));
}

static json_t *
run_status(const struct qmp_call *call)
{
	struct vmm *vmm = call->q->vmm;

	if (vmm->vm == NULL)
		return (json_pack("{s:b, s:s}", "running", 0, "status", "prelaunch"));
	return (json_pack("{s:b, s:s}", "running", !vmm_held(vmm), "status", vmm_held(vmm) ? "paused" : "running"));
}

static json_t *
run_stop(const struct qmp_call *call)
{
	struct qmp *q = call->q;

	if (!q->stopped && vmm_hold(q->vmm) != 0)
		return (NULL);
	q->stopped = true;
	return (qmp_nothing());
}

static json_t *
run_cont(const struct qmp_call *call)
{
	struct qmp *q = call->q;

	if (q->stopped) {
		q->stopped = false;
		vmm_release(q->vmm);
	}
	return (qmp_nothing());
}

static json_t *
suspend(const struct qmp_call *call, enum vm_suspend_how how)
{
	/* Whoever ended it first has the same wish, or its owner asks qmp_quitting(). */
	if (vm_of(call) == NULL)
		return (NULL);
	if (vm_suspend(call->q->vmm->vm, how) != 0 && errno != EALREADY)
		return (vmm_fail_null(errno, "%s", vm_errmsg()));
	return (qmp_nothing());
}

static json_t *
run_reset(const struct qmp_call *call)
{
	json_t *done = suspend(call, VM_SUSPEND_RESET);

	call->q->reset |= done != NULL;
	return (done);
}

static json_t *
run_quit(const struct qmp_call *call)
{
	call->q->quit = true;
	if (call->q->vmm->vm == NULL)
		return (qmp_nothing());
	return (suspend(call, VM_SUSPEND_POWEROFF));
}

static void
press(void *arg)
{
	struct machine *m = arg;

	m->cls->power_button(m);
}

static json_t *
run_powerdown(const struct qmp_call *call)
{
	struct machine *m = machine_of(call);

	if (m == NULL)
		return (NULL);
	/* A machine that stands notices its button when it goes on. */
	vmm_when_released(m->vmm, press, m);
	qmp_event(call->q, "POWERDOWN", NULL);
	return (qmp_nothing());
}

static json_t *
run_nmi(const struct qmp_call *call)
{
	struct machine *m = machine_of(call);

	if (m == NULL)
		return (NULL);
	if (m->cls->nmi == NULL)
		return (vmm_fail_null(ENOTSUP, "machine '%s' has no interrupt that cannot be masked", m->cls->name));
	m->cls->nmi(m);
	return (qmp_nothing());
}

/* Events */

void
qmp_hold_changed(void *arg, bool held)
{
	qmp_event(arg, held ? "STOP" : "RESUME", NULL);
}

bool
qmp_quitting(const struct qmp *q)
{
	return (q->quit);
}

/* What a guest did, in QMP's words. */
static const char *
guests_cause(enum vm_suspend_how how)
{
	switch (how) {
	case VM_SUSPEND_RESET:
		return ("guest-reset");
	case VM_SUSPEND_POWEROFF:
	case VM_SUSPEND_HALT:
		return ("guest-shutdown");
	case VM_SUSPEND_TRIPLEFAULT:
		return ("guest-panic");
	default:
		return ("host-error");
	}
}

void
qmp_ended(struct qmp *q, enum vm_suspend_how how, bool again, const char *host)
{
	const char *cause = q->quit ? "host-qmp-quit" : q->reset && how == VM_SUSPEND_RESET ? "host-qmp-system-reset" : host;
	bool guest = cause == NULL && how != VM_SUSPEND_DESTROY;

	q->reset = false;
	qmp_event(q, again ? "RESET" : "SHUTDOWN", json_pack("{s:b, s:s}", "guest", guest, "reason", cause != NULL ? cause : guests_cause(how)));
}

/* Tables */

static const char *const run_states[] = { "running", "paused", "prelaunch", NULL };
static const char *const causes[] = {
	"guest-shutdown", "guest-reset", "guest-panic", "host-error", "host-qmp-quit", "host-qmp-system-reset", "host-signal", "host-ui", NULL,
};
static const struct qmp_member status_info[] = {
	{ "running", "bool", false, "whether its processors run" }, { "status", "RunState", false, "the same, with the reason" },
	{ NULL, NULL, false, NULL },
};
static const struct qmp_member end_data[] = {
	{ "guest", "bool", false, "whether the guest did it" }, { "reason", "ShutdownCause", false, "who did, and how" },
	{ NULL, NULL, false, NULL },
};

static const struct qmp_type types[] = {
	{ "RunState", NULL, run_states }, { "ShutdownCause", NULL, causes }, { "StatusInfo", status_info, NULL }, { NULL, NULL, NULL },
};
static const struct qmp_command commands[] = {
	{ "query-status", NULL, "StatusInfo", run_status, "whether the VM runs or is stopped" },
	{ "stop", NULL, NULL, run_stop, "stop processors, devices and the VM's clock; what is on its way to disks gets there first" },
	{ "cont", NULL, NULL, run_cont, "let a stopped VM go on where it was" },
	{ "system_powerdown", NULL, NULL, run_powerdown, "press the power button, which the guest may listen to" },
	{ "system_reset", NULL, NULL, run_reset, "reset the machine, whatever the guest is at; one that is stopped stays so" },
	{ "quit", NULL, NULL, run_quit, "end the VM and its process at once, as if its plug was pulled" },
	{ "inject-nmi", NULL, NULL, run_nmi, "interrupt all processors by what cannot be masked, where the machine has that" },
	{ NULL, NULL, NULL, NULL, NULL },
};
static const struct qmp_event_type events[] = {
	{ "STOP", NULL, "the VM has stopped" },
	{ "RESUME", NULL, "it goes on" },
	{ "POWERDOWN", NULL, "a client has pressed the power button" },
	{ "RESET", end_data, "the machine was reset and is started anew" },
	{ "SHUTDOWN", end_data, "the VM has ended; its process follows" },
	{ NULL, NULL, NULL },
};

const struct qmp_group qmp_group_run = { commands, types, events };
