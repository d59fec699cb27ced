/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kvm_irq.c - interrupts and doorbells of the kvm back end: lines, messages, their eventfds and
 * routes, ends of interrupts.
 *
 * Lines keep the numbers that they have in the kernel.  Each bound message has a number (GSI) of
 * its own above them, whose route is its address and data.  An eventfd is given to the kernel only
 * after the route of its number is there: what is written to it in between stays counted in it, and
 * is not lost.
 *
 * A line's eventfd without resample is a pulse in the kernel, which ends with the line low whoever
 * else holds it high; so only eventfds with resample, which the kernel ORs in as a source of their
 * own, are bound here, and the library polls the others.
 */
#include <sys/eventfd.h>
#include <sys/ioctl.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kvm_irq.h"

static int
irqfd(struct vmctx *vm, uint32_t gsi, int fd, int resample, bool on)
{
	struct kvm_irqfd arg = { .fd = (uint32_t)fd, .gsi = gsi };

	if (!on)
		arg.flags = KVM_IRQFD_FLAG_DEASSIGN;
	else if (resample >= 0) {
		arg.flags = KVM_IRQFD_FLAG_RESAMPLE;
		arg.resamplefd = (uint32_t)resample;
	}
	return (kvm_ioctl(kvm_vm(vm)->vmfd, KVM_IRQFD, &arg));
}

/* SECTION: lines and messages */

static int
line_set(struct vmctx *vm, unsigned line, bool level)
{
	struct kvm_irq_level arg = { .irq = kvm_md_irq(line), .level = level };

	return (kvm_ioctl(kvm_vm(vm)->vmfd, KVM_IRQ_LINE, &arg));
}

int
kvm_irq_set(struct vmctx *vm, unsigned line, bool level)
{
	struct kvm_vm *kv = kvm_vm(vm);
	int error;

	if (kvm_md_resample())
		return (line_set(vm, line, level));
	/*
	 * Where the notification of an end of interrupt lowers the line, eoi_event() raises it
	 * again.
	 */
	pthread_mutex_lock(&kv->line_lock);
	kv->eois[line].level = level;
	error = line_set(vm, line, level);
	pthread_mutex_unlock(&kv->line_lock);
	return (error);
}

int
kvm_msi_send(struct vmctx *vm, uint32_t requester, uint64_t addr, uint32_t data)
{
	return (kvm_md_msi_send(vm, requester, addr, data));
}

/* SECTION: bound eventfds.  vm->irq_lock is held. */

static void
bind_drop(struct vmctx *vm, struct vm_irq *irq)
{
	struct kvm_vm *kv = kvm_vm(vm);
	struct kvm_bind *b;

	if (!irq->is_msi) {
		(void)irqfd(vm, irq->line, irq->trigger, -1, false);
		return;
	}
	if (irq->gsi < 0)
		return;
	b = &kv->binds[(uint32_t)irq->gsi - kv->gsi_first];
	if (b->assigned)
		(void)irqfd(vm, (uint32_t)irq->gsi, b->trigger, -1, false);
	*b = (struct kvm_bind){ .irq = NULL, .trigger = -1 };
	irq->gsi = -1;
}

static int
bind_message(struct vm_irq *irq, int trigger)
{
	struct kvm_vm *kv = kvm_vm(irq->vm);
	struct kvm_bind *more;
	unsigned i;

	if (!kvm_md_is_msi(irq->vm, irq->addr))
		return (-1);
	for (i = 0; i < kv->nbinds && kv->binds[i].irq != NULL; i++)
		continue;
	if (kv->gsi_first + i >= kv->gsi_max)
		return (-1);
	if (i == kv->nbinds) {
		more = realloc(kv->binds, (i + 1) * sizeof(*more));
		if (more == NULL)
			return (-1);
		kv->binds = more;
		kv->nbinds = i + 1;
	}
	/* route_commit() assigns it. */
	kv->binds[i] = (struct kvm_bind){ .irq = irq, .trigger = trigger };
	irq->gsi = (int)(kv->gsi_first + i);
	return (0);
}

int
kvm_irq_bind(struct vm_irq *irq, int trigger, int resample)
{
	if (trigger < 0) {
		bind_drop(irq->vm, irq);
		return (0);
	}
	if (irq->is_msi)
		return (bind_message(irq, trigger));
	if (resample < 0 || !kvm_md_resample())
		return (-1);
	return (irqfd(irq->vm, irq->line, trigger, resample, true));
}

int
kvm_route_commit(struct vmctx *vm)
{
	struct kvm_vm *kv = kvm_vm(vm);
	struct kvm_irq_routing *r;
	struct kvm_irq_routing_entry *e;
	int error;

	r = calloc(1, sizeof(*r) + (KVM_MD_ROUTES + kv->nbinds) * sizeof(r->entries[0]));
	if (r == NULL) {
		errno = ENOMEM;
		return (-1);
	}
	r->nr = kvm_md_routes(r->entries);
	for (unsigned i = 0; i < kv->nbinds; i++) {
		const struct vm_irq *irq = kv->binds[i].irq;

		if (irq == NULL)
			continue;
		e = &r->entries[r->nr++];
		e->gsi = kv->gsi_first + i;
		e->type = KVM_IRQ_ROUTING_MSI;
		e->u.msi.address_lo = (uint32_t)irq->addr;
		e->u.msi.address_hi = (uint32_t)(irq->addr >> 32);
		e->u.msi.data = irq->data;
		e->flags = kvm_md_msi_flags();
		if (e->flags != 0)
			e->u.msi.devid = irq->requester;
	}
	error = r->nr == 0 ? 0 : kvm_ioctl(kv->vmfd, KVM_SET_GSI_ROUTING, r);
	free(r);
	for (unsigned i = 0; i < kv->nbinds && error == 0; i++) {
		struct kvm_bind *b = &kv->binds[i];

		if (b->irq == NULL || b->assigned)
			continue;
		error = irqfd(vm, kv->gsi_first + i, b->trigger, -1, true);
		b->assigned = error == 0;
	}
	return (error);
}

/* SECTION: ends of interrupts */

/* Two ends may come before the first is seen; each is told. */
static void
eoi_event(void *arg, uint64_t count)
{
	struct kvm_eoi *e = arg;
	struct kvm_vm *kv = kvm_vm(e->vm);

	if (!kvm_md_resample()) {
		pthread_mutex_lock(&kv->line_lock);
		if (e->level)
			(void)line_set(e->vm, e->line, true);
		pthread_mutex_unlock(&kv->line_lock);
	}
	while (count-- != 0)
		vm_intc_eoi(e->vm, e->line);
}

static int
eoi_make(struct vmctx *vm, struct kvm_eoi *e)
{
	if (e->made)
		return (0);
	e->trigger = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	e->resample = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (e->trigger >= 0 && e->resample >= 0 && fdwatch_add(vm, e->resample, eoi_event, e) == 0) {
		e->made = true;
		return (0);
	}
	if (e->trigger >= 0)
		(void)close(e->trigger);
	if (e->resample >= 0)
		(void)close(e->resample);
	return (vm_fail_sys(errno, "vm '%s': kvm: ends of interrupts of line %u", vm->name, e->line));
}

/*
 * The line's lock is held, so the watch of the eventfd is not taken away here, which could wait for
 * a call that wants the lock: it stays until the VM goes, and does nothing.
 */
int
kvm_eoi_watch(struct vmctx *vm, unsigned line, bool on)
{
	struct kvm_eoi *e = &kvm_vm(vm)->eois[line];

	if (e->on == on)
		return (0);
	if (on && eoi_make(vm, e) != 0)
		return (-1);
	if (irqfd(vm, line, e->trigger, e->resample, on) != 0 && on)
		return (vm_fail_sys(errno, "vm '%s': kvm: ends of interrupts of line %u", vm->name, line));
	e->on = on;
	return (0);
}

/* SECTION: doorbells */

static int
ioeventfd(struct vm_doorbell *db, bool on)
{
	struct kvm_vm *kv = kvm_vm(db->vm);
	const struct vm_doorbell_spec *s = &db->spec;
	struct kvm_ioeventfd arg = {
		.addr = s->addr, .len = s->size, .fd = s->fd, .datamatch = s->match ? s->value : 0
	};

	if (s->size == 0 && !kv->any_length)
		return (-1);
	if (s->space == VM_SPACE_IO)
		arg.flags |= KVM_IOEVENTFD_FLAG_PIO;
	if (s->match)
		arg.flags |= KVM_IOEVENTFD_FLAG_DATAMATCH;
	if (!on)
		arg.flags |= KVM_IOEVENTFD_FLAG_DEASSIGN;
	return (kvm_ioctl(kv->vmfd, KVM_IOEVENTFD, &arg));
}

int
kvm_doorbell_add(struct vm_doorbell *db)
{
	return (ioeventfd(db, true));
}

void
kvm_doorbell_remove(struct vm_doorbell *db)
{
	(void)ioeventfd(db, false);
}

/* SECTION: life */

int
kvm_irq_create(struct vmctx *vm)
{
	struct kvm_vm *kv = kvm_vm(vm);

	kv->gsi_first = vm->md->nlines;
	kv->eois = calloc(vm->md->nlines, sizeof(*kv->eois));
	if (kv->eois == NULL)
		return (vm_fail(ENOMEM, "vm '%s': kvm: out of memory", vm->name));
	for (unsigned i = 0; i < vm->md->nlines; i++) {
		kv->eois[i].vm = vm;
		kv->eois[i].line = i;
	}
	return (0);
}

void
kvm_irq_destroy(struct vmctx *vm)
{
	struct kvm_vm *kv = kvm_vm(vm);

	for (unsigned i = 0; kv->eois != NULL && i < vm->md->nlines; i++) {
		struct kvm_eoi *e = &kv->eois[i];

		if (!e->made)
			continue;
		(void)kvm_eoi_watch(vm, i, false);
		fdwatch_del(vm, e->resample);
		(void)close(e->trigger);
		(void)close(e->resample);
	}
	free(kv->eois);
	kv->eois = NULL;
	free(kv->binds);
	kv->binds = NULL;
}
