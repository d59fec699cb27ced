/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * shim.c - bhyve's calls that name a chip, over interrupt handles that each VM opens when one is
 * first used.
 *
 * Threads: any.  The table's lock is outermost: it is held while a handle is opened, never while
 * one is used.
 */
#include <errno.h>
#include <stdlib.h>

#include "amd64.h"

_Static_assert(sizeof(((struct amd64_vm *)0)->line) == AMD64_NLINES * sizeof(struct vm_irq *), "lines");

static int
check(struct vmctx *ctx, const char *what)
{
	if (ctx == NULL)
		return (vm_fail(EINVAL, "%s: no VM", what));
	if (ctx->md->arch != VM_ARCH_AMD64) {
		return (vm_fail(EINVAL, "%s: vm '%s' is of architecture %s, not amd64", what, ctx->name,
		    ctx->md->name));
	}
	return (0);
}

void
amd64_vm_fini(struct vmctx *vm)
{
	struct amd64_vm *av = vm->md_vm;

	if (av == NULL)
		return;
	vm->md_vm = NULL;
	for (unsigned i = 0; i < AMD64_NLINES; i++)
		vm_irq_close(av->line[i]);
	free(av);
}

struct amd64_vm *
amd64_vm_get(struct vmctx *vm)
{
	struct amd64_vm *av;

	pthread_mutex_lock(&vm->lock);
	av = vm->md_vm;
	if (av == NULL) {
		av = calloc(1, sizeof(*av));
		if (av == NULL)
			(void)vm_fail(ENOMEM, "vm '%s': no memory", vm->name);
		vm->md_vm = av;
	}
	pthread_mutex_unlock(&vm->lock);
	return (av);
}

/* The shims' own source on a line. */
static struct vm_irq *
handle(struct vmctx *vm, unsigned line)
{
	struct amd64_vm *av = amd64_vm_get(vm);
	struct vm_irq *irq;

	if (av == NULL)
		return (NULL);
	pthread_mutex_lock(&vm->lock);
	irq = av->line[line];
	if (irq == NULL)
		irq = av->line[line] = vm_irq_open_line(vm, line);
	pthread_mutex_unlock(&vm->lock);
	return (irq);
}

enum action { ASSERT, DEASSERT, PULSE };

static int
drive(struct vmctx *vm, unsigned line, enum action action)
{
	struct vm_irq *irq = handle(vm, line);

	if (irq == NULL)
		return (-1);
	switch (action) {
	case ASSERT:
		return (vm_irq_assert(irq));
	case DEASSERT:
		return (vm_irq_deassert(irq));
	case PULSE:
		return (vm_irq_pulse(irq));
	}
	return (-1);
}

/* The line behind an I/O APIC input: input 2 is the 8254's, input 0 is not connected. */
static int
pin_line(struct vmctx *vm, int pin, const char *what)
{
	if (pin <= 0 || pin >= AMD64_NPINS)
		return (vm_fail(EINVAL, "%s: vm '%s' has no line on I/O APIC input %d", what, vm->name, pin));
	return (pin == 2 ? 0 : pin);
}

static int
ioapic_drive(struct vmctx *ctx, int irq, enum action action, const char *what)
{
	int line;

	if (check(ctx, what) != 0 || (line = pin_line(ctx, irq, what)) < 0)
		return (-1);
	return (drive(ctx, (unsigned)line, action));
}

static int
isa_drive(struct vmctx *ctx, int atpic_irq, int ioapic_irq, enum action action, const char *what)
{
	int line = atpic_irq;

	if (check(ctx, what) != 0)
		return (-1);
	if (atpic_irq < 0 || atpic_irq > 15 || atpic_irq == 2)
		return (vm_fail(EINVAL, "%s: vm '%s' has no line on 8259 input %d", what, ctx->name, atpic_irq));
	if (ioapic_irq != -1 && (line = pin_line(ctx, ioapic_irq == 0 ? 2 : ioapic_irq, what)) < 0)
		return (-1);
	/* A line reaches both chips; bhyve's PCI interrupts name two that differ. */
	if (line != atpic_irq && drive(ctx, (unsigned)line, action) != 0)
		return (-1);
	return (drive(ctx, (unsigned)atpic_irq, action));
}

int
vm_lapic_msi(struct vmctx *ctx, uint64_t addr, uint64_t msg)
{
	if (check(ctx, "vm_lapic_msi") != 0)
		return (-1);
	return (vm_raise_msi(ctx, addr, msg, 0, 0, 0));
}

int
vm_lapic_irq(struct vcpu *vcpu, int vector)
{
	if (vcpu == NULL)
		return (vm_fail(EINVAL, "vm_lapic_irq: no vcpu"));
	if (check(vcpu->vm, "vm_lapic_irq") != 0)
		return (-1);
	if (vector < 16 || vector > 255)
		return (vm_fail(EINVAL, "vm_lapic_irq: vector %d is not 16 to 255", vector));
	/* A fixed, edge-triggered message to its physical APIC id (SDM vol. 3 10.11). */
	return (vm_raise_msi(vcpu->vm, APIC_DEFAULT | (uint64_t)vcpu->id << 12, (uint64_t)vector, 0, 0, 0));
}

int
vm_ioapic_assert_irq(struct vmctx *ctx, int irq)
{
	return (ioapic_drive(ctx, irq, ASSERT, "vm_ioapic_assert_irq"));
}

int
vm_ioapic_deassert_irq(struct vmctx *ctx, int irq)
{
	return (ioapic_drive(ctx, irq, DEASSERT, "vm_ioapic_deassert_irq"));
}

int
vm_ioapic_pulse_irq(struct vmctx *ctx, int irq)
{
	return (ioapic_drive(ctx, irq, PULSE, "vm_ioapic_pulse_irq"));
}

int
vm_ioapic_pincount(struct vmctx *ctx, int *pincount)
{
	if (check(ctx, "vm_ioapic_pincount") != 0)
		return (-1);
	if (pincount == NULL)
		return (vm_fail(EINVAL, "vm_ioapic_pincount: no place for the result"));
	*pincount = AMD64_NPINS;
	return (0);
}

int
vm_isa_assert_irq(struct vmctx *ctx, int atpic_irq, int ioapic_irq)
{
	return (isa_drive(ctx, atpic_irq, ioapic_irq, ASSERT, "vm_isa_assert_irq"));
}

int
vm_isa_deassert_irq(struct vmctx *ctx, int atpic_irq, int ioapic_irq)
{
	return (isa_drive(ctx, atpic_irq, ioapic_irq, DEASSERT, "vm_isa_deassert_irq"));
}

int
vm_isa_pulse_irq(struct vmctx *ctx, int atpic_irq, int ioapic_irq)
{
	return (isa_drive(ctx, atpic_irq, ioapic_irq, PULSE, "vm_isa_pulse_irq"));
}

int
vm_apicid2vcpu(struct vmctx *ctx, int apicid)
{
	if (check(ctx, "vm_apicid2vcpu") != 0)
		return (-1);
	return (apicid);
}
