/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kvm_amd64_chips.c - the state of the kernel's interrupt controllers, in the terms of the
 * library's own (amd64/apic.h).
 *
 * A stream has one form whoever modelled the controllers, so that a VM can change its back end on
 * the way.  What the kernel does not keep has the value that a program cannot tell from the true
 * one: ICW3 of the 8259s, the arbitration of lowest-priority messages.
 */
#include <sys/ioctl.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../amd64/apic.h"
#include "kvm_amd64.h"

/* Offsets in the page of a local APIC (SDM vol. 3 table 10-1). */
#define	L_ID		0x020
#define	L_TPR		0x080
#define	L_LDR		0x0d0
#define	L_DFR		0x0e0
#define	L_SVR		0x0f0
#define	L_ISR		0x100
#define	L_TMR		0x180
#define	L_IRR		0x200
#define	L_ESR		0x280
#define	L_ICR		0x300
#define	L_LVT		0x320
#define	L_LVT_LINT0	0x350
#define	L_INIT_COUNT	0x380
#define	L_CUR_COUNT	0x390
#define	L_DIVIDE	0x3e0

#define	TIMER_MODE	0x60000U
#define	TIMER_DEADLINE	0x40000U
#define	SVR_KNOWN	0x13ffU
#define	RTE_REMOTE_IRR	0x4000ULL
#define	RTE_LEVEL	0x8000ULL
#define	RTE_KNOWN	(0xff0000000001afffULL | RTE_REMOTE_IRR)

/* What an entry of the local vector table can hold (SDM vol. 3 figure 10-8). */
static const uint32_t lvt_known[LVT_COUNT] = { 0x700ff, 0x107ff, 0x107ff, 0x1a7ff, 0x1a7ff, 0x100ff };

/* SECTION: 8259 */

static void
pic_save(struct i8259 *to, const struct kvm_pic_state *s)
{
	to->irr = s->irr;
	to->isr = s->isr;
	to->imr = s->imr;
	to->line = s->last_irr;
	to->elcr = s->elcr & s->elcr_mask;
	to->base = s->irq_base & 0xf8;
	to->step = s->init_state == 0 ? 0 : (uint8_t)(s->init_state + 1);	/* the kernel counts ICW2 as 1 */
	to->icw1 = 0x10 | (s->init4 ? 1 : 0);
	to->lowest = (uint8_t)((s->priority_add + 7) & 7);
	to->ready = s->init_state == 0 && s->irq_base != 0;
	to->aeoi = s->auto_eoi != 0;
	to->rotate_aeoi = s->rotate_on_auto_eoi != 0;
	to->nested = s->special_fully_nested_mode != 0;
	to->special_mask = s->special_mask != 0;
	to->read_isr = s->read_reg_select != 0;
	to->poll = s->poll != 0;
}

static void
pic_load(struct kvm_pic_state *to, const struct i8259 *c, uint8_t elcr_mask)
{
	to->irr = c->irr;
	to->isr = c->isr;
	/* Before its initialisation the chip asks for nothing; the kernel's would. */
	to->imr = c->ready ? c->imr : 0xff;
	to->last_irr = c->line;
	to->elcr = c->elcr;
	to->elcr_mask = elcr_mask;
	to->irq_base = c->base;
	to->init_state = c->step == 0 ? 0 : (uint8_t)(c->step - 1);
	to->init4 = c->icw1 & 1;
	to->priority_add = (uint8_t)((c->lowest + 1) & 7);
	to->auto_eoi = c->aeoi;
	to->rotate_on_auto_eoi = c->rotate_aeoi;
	to->special_fully_nested_mode = c->nested;
	to->special_mask = c->special_mask;
	to->read_reg_select = c->read_isr;
	to->poll = c->poll;
}

/* SECTION: I/O APIC */

static unsigned
pin_of(unsigned line)
{
	return (line == 0 ? 2 : line);
}

static void
ioapic_save(struct ioapic *to, const struct kvm_ioapic_state *s, const struct i8259_pair *pic)
{
	for (unsigned i = 0; i < AMD64_NPINS; i++) {
		to->rte[i] = s->redirtbl[i].bits & RTE_KNOWN;
		if ((to->rte[i] & RTE_LEVEL) == 0)
			to->rte[i] &= ~RTE_REMOTE_IRR;
	}
	to->id = s->id & 0xf;
	to->select = (uint8_t)s->ioregsel;
	/*
	 * The kernel forgets edges that it delivered; the lines that the 8259s have too are
	 * remembered there.
	 */
	to->line = s->irr & ((1U << AMD64_NPINS) - 1);
	for (unsigned line = 0; line < 16; line++) {
		uint32_t bit = 1U << pin_of(line);

		if (line == 2)
			continue;
		if ((pic->chip[line >> 3].line & (1U << (line & 7))) != 0)
			to->line |= bit;
		else
			to->line &= ~bit;
	}
}

static void
ioapic_load(struct kvm_ioapic_state *to, const struct ioapic *io)
{
	to->base_address = 0xfec00000;
	to->ioregsel = io->select;
	to->id = io->id;
	for (unsigned i = 0; i < AMD64_NPINS; i++) {
		to->redirtbl[i].bits = io->rte[i];
		/*
		 * The kernel takes each bit as a new request: levels ask again by themselves, edges
		 * were seen.
		 */
		if ((io->rte[i] & RTE_LEVEL) != 0)
			to->irr |= io->line & (1U << i);
	}
}

static int
chip_io(struct vmctx *vm, unsigned long req, uint32_t id, struct kvm_irqchip *chip)
{
	chip->chip_id = id;
	if (kvm_ioctl(kvm_vm(vm)->vmfd, req, chip) == 0)
		return (0);
	return (vm_fail_sys(errno, "vm '%s': kvm: state of interrupt controller %u", vm->name, id));
}

static int
chips_save(struct vmctx *vm, struct apic *a)
{
	struct kvm_irqchip chip;

	for (uint32_t i = 0; i < 2; i++) {
		memset(&chip, 0, sizeof(chip));
		if (chip_io(vm, KVM_GET_IRQCHIP, i, &chip) != 0)
			return (-1);
		pic_save(&a->pic.chip[i], &chip.chip.pic);
		a->pic.chip[i].cascade = i == 0 ? 1 << 2 : 2;
	}
	memset(&chip, 0, sizeof(chip));
	if (chip_io(vm, KVM_GET_IRQCHIP, KVM_IRQCHIP_IOAPIC, &chip) != 0)
		return (-1);
	ioapic_save(&a->ioapic, &chip.chip.ioapic, &a->pic);
	return (0);
}

static int
chips_load(struct vmctx *vm, const struct apic *a)
{
	struct kvm_irqchip chip;

	for (uint32_t i = 0; i < 2; i++) {
		memset(&chip, 0, sizeof(chip));
		pic_load(&chip.chip.pic, &a->pic.chip[i], i == 0 ? 0xf8 : 0xde);
		if (chip_io(vm, KVM_SET_IRQCHIP, i, &chip) != 0)
			return (-1);
	}
	memset(&chip, 0, sizeof(chip));
	ioapic_load(&chip.chip.ioapic, &a->ioapic);
	return (chip_io(vm, KVM_SET_IRQCHIP, KVM_IRQCHIP_IOAPIC, &chip));
}

/* SECTION: local APICs */

static uint32_t
get32(const struct kvm_lapic_state *k, unsigned off)
{
	uint32_t val;

	memcpy(&val, k->regs + off, sizeof(val));
	return (val);
}

static void
put32(struct kvm_lapic_state *k, unsigned off, uint32_t val)
{
	memcpy(k->regs + off, &val, sizeof(val));
}

/* The timer counts nanoseconds, divided by this (SDM vol. 3 figure 10-10). */
static uint64_t
divisor(uint32_t divide)
{
	unsigned n = ((divide & 8) >> 1 | (divide & 3)) + 1;

	return (UINT64_C(1) << (n & 7));
}

/* The clock's time at which the TSC reaches the deadline. */
static uint64_t
deadline_ns(struct vmctx *vm, const struct amd64_state *st)
{
	uint64_t ns = st->tsc_deadline > st->tsc ? muldiv64(st->tsc_deadline - st->tsc, 1000000000, vm->counter_hz) : 0;

	/* A year is as good as never. */
	return (vm_clock_now(vm) + (ns > 31536000000000000ULL ? 31536000000000000ULL : ns) + 1);
}

static void
lapic_to(struct vcpu *vcpu, struct lapic *to, const struct kvm_lapic_state *k)
{
	const struct amd64_state *st = vcpu->state;
	const struct kvm_md_cpu *mc = kvm_cpu(vcpu)->md;
	uint32_t left = mc->stands ? mc->left : get32(k, L_CUR_COUNT);

	to->tpr = get32(k, L_TPR) & 0xff;
	to->ldr = (st->apic_base & APIC_BASE_EXTD) != 0 ? 0 : get32(k, L_LDR) & 0xff000000;
	to->dfr = get32(k, L_DFR) | 0x0fffffff;
	to->svr = get32(k, L_SVR) & SVR_KNOWN;
	to->esr = get32(k, L_ESR);
	to->icr = get32(k, L_ICR) | (uint64_t)get32(k, L_ICR + 0x10) << 32;
	for (unsigned i = 0; i < LVT_COUNT; i++)
		to->lvt[i] = get32(k, L_LVT + i * 0x10) & lvt_known[i];
	for (unsigned i = 0; i < 8; i++) {
		to->irr[i] = get32(k, L_IRR + i * 0x10);
		to->isr[i] = get32(k, L_ISR + i * 0x10);
		to->tmr[i] = get32(k, L_TMR + i * 0x10);
	}
	to->irr[0] &= 0xffff0000;
	to->isr[0] &= 0xffff0000;
	to->tmr[0] &= 0xffff0000;
	to->init_count = get32(k, L_INIT_COUNT);
	to->divide = get32(k, L_DIVIDE) & 0xb;
	if ((to->lvt[LVT_TIMER] & TIMER_MODE) == TIMER_DEADLINE) {
		to->tsc_deadline = st->tsc_deadline;
		to->armed = st->tsc_deadline != 0;
		to->deadline = to->armed ? deadline_ns(vcpu->vm, st) : 0;
	} else if (left != 0) {
		to->armed = true;
		to->deadline = vm_clock_now(vcpu->vm) + left * divisor(to->divide);
	}
}

static void
lapic_from(struct vcpu *vcpu, struct kvm_lapic_state *k, const struct lapic *lp)
{
	uint64_t now = vm_clock_now(vcpu->vm), left;

	*k = kvm_cpu(vcpu)->md->lapic;
	put32(k, L_ID, (uint32_t)vcpu->id << 24);
	put32(k, L_TPR, lp->tpr);
	put32(k, L_LDR, lp->ldr);
	put32(k, L_DFR, lp->dfr);
	put32(k, L_SVR, lp->svr);
	put32(k, L_ESR, lp->esr);
	put32(k, L_ICR, (uint32_t)lp->icr);
	put32(k, L_ICR + 0x10, (uint32_t)(lp->icr >> 32));
	for (unsigned i = 0; i < LVT_COUNT; i++)
		put32(k, L_LVT + i * 0x10, lp->lvt[i]);
	for (unsigned i = 0; i < 8; i++) {
		put32(k, L_IRR + i * 0x10, lp->irr[i]);
		put32(k, L_ISR + i * 0x10, lp->isr[i]);
		put32(k, L_TMR + i * 0x10, lp->tmr[i]);
	}
	/* One that has come to its end would come to it once more. */
	put32(k, L_INIT_COUNT, lp->armed ? lp->init_count : 0);
	put32(k, L_DIVIDE, lp->divide);
	if (lp->armed && (lp->lvt[LVT_TIMER] & TIMER_MODE) != TIMER_DEADLINE) {
		left = lp->deadline > now ? (lp->deadline - now + divisor(lp->divide) - 1) / divisor(lp->divide) : 1;
		put32(k, L_CUR_COUNT, left > lp->init_count ? lp->init_count : (uint32_t)left);
	}
}

/*
 * The kernel's timer counts on while the VM's clock stands, and does not tell that it has come to its end and is not yet an interrupt.  So what
 * was left when the clock stopped counts; where nothing was, it is made an interrupt now.
 */
void
kvm_lapic_stop(struct vcpu *vcpu)
{
	struct kvm_md_cpu *mc = kvm_cpu(vcpu)->md;
	struct kvm_lapic_state k;

	mc->left = 0;
	mc->deadline = 0;
	mc->stands = kvm_ioctl(kvm_cpu(vcpu)->fd, KVM_GET_LAPIC, &k) == 0;
	if (!mc->stands || (get32(&k, L_LVT) & LVT_MASKED) != 0)
		return;
	if ((get32(&k, L_LVT) & TIMER_MODE) == TIMER_DEADLINE)
		(void)kvm_msr_get(vcpu, MSR_TSC_DEADLINE, &mc->deadline);
	else
		mc->left = get32(&k, L_CUR_COUNT);
	if (mc->left == 0 && mc->deadline == 0)
		kvm_catch_up(vcpu);
}

void
kvm_lapic_go(struct vcpu *vcpu)
{
	kvm_cpu(vcpu)->md->stands = false;
}

/* Power-on state.  LINT0 is as in the library's own (lapic.c), whatever the kernel has: a guest that knows of no APIC gets the 8259's interrupts. */
int
kvm_lapic_init(struct vcpu *vcpu)
{
	struct kvm_lapic_state *k = &kvm_cpu(vcpu)->md->lapic;

	if (kvm_ioctl(kvm_cpu(vcpu)->fd, KVM_GET_LAPIC, k) != 0)
		return (vm_fail_sys(errno, "vcpu %d: kvm: local APIC", vcpu->id));
	put32(k, L_LVT_LINT0, vcpu->id == 0 ? APIC_EXTINT << 8 : LVT_MASKED);
	if (kvm_ioctl(kvm_cpu(vcpu)->fd, KVM_SET_LAPIC, k) != 0)
		return (vm_fail_sys(errno, "vcpu %d: kvm: local APIC", vcpu->id));
	return (0);
}

/* The 8259s ask for nothing before they were initialised. */
int
kvm_chips_init(struct vmctx *vm)
{
	struct kvm_irqchip chip;

	for (uint32_t i = 0; i < 2; i++) {
		memset(&chip, 0, sizeof(chip));
		if (chip_io(vm, KVM_GET_IRQCHIP, i, &chip) != 0)
			return (-1);
		chip.chip.pic.imr = 0xff;
		if (chip_io(vm, KVM_SET_IRQCHIP, i, &chip) != 0)
			return (-1);
	}
	return (0);
}

/* The levels at their inputs stay.  A local APIC is reset with its vCPU's page. */
int
kvm_md_reset(struct vmctx *vm)
{
	struct apic *a = calloc(1, sizeof(*a));
	int error;

	if (a == NULL)
		return (vm_fail(ENOMEM, "vm '%s': reset: out of memory", vm->name));
	error = chips_save(vm, a);
	if (error == 0) {
		i8259_reset(&a->pic);
		ioapic_reset(&a->ioapic);
		error = chips_load(vm, a);
	}
	free(a);
	return (error);
}

/* SECTION: streams */

static int
save_cpu(struct vcpu *vcpu, struct vm_state_out *out)
{
	struct kvm_lapic_state k;
	struct lapic *lp;
	char name[16];
	int error;

	if (kvm_ioctl(kvm_cpu(vcpu)->fd, KVM_GET_LAPIC, &k) != 0)
		return (vm_fail_sys(errno, "vcpu %d: kvm: local APIC", vcpu->id));
	lp = calloc(1, sizeof(*lp));
	if (lp == NULL)
		return (vm_fail(ENOMEM, "vcpu %d: state: out of memory", vcpu->id));
	lapic_to(vcpu, lp, &k);
	(void)snprintf(name, sizeof(name), "%d", vcpu->id);
	error = vm_state_put(out, intc_apic.cpu_state, name, lp);
	free(lp);
	return (error);
}

int
kvm_md_vm_save(struct vmctx *vm, struct vm_state_out *out)
{
	struct apic *a = calloc(1, sizeof(*a));
	int error;

	if (a == NULL)
		return (vm_fail(ENOMEM, "vm '%s': state: out of memory", vm->name));
	error = chips_save(vm, a);
	if (error == 0)
		error = vm_state_put(out, intc_apic.state, "", a);
	free(a);
	for (int i = 0; error == 0 && i < VM_MAXCPU; i++) {
		if (vm->vcpus[i] != NULL)
			error = save_cpu(vm->vcpus[i], out);
	}
	return (error);
}

/*
 * A local APIC is loaded after the vCPU's page, whose APIC base decides in which mode it is, and
 * before the timer's deadline, which counts only in the mode that the local vector table says.
 */
static int
load_cpu(struct vcpu *vcpu, struct vm_state_in *in)
{
	struct amd64_state *st = vcpu->state;
	struct kvm_lapic_state k;
	struct lapic *lp = calloc(1, sizeof(*lp));
	char name[16];
	int error;

	if (lp == NULL)
		return (vm_fail(ENOMEM, "vcpu %d: state: out of memory", vcpu->id));
	(void)snprintf(name, sizeof(name), "%d", vcpu->id);
	if (vm_state_get(in, intc_apic.cpu_state, name, lp) != 0) {
		free(lp);
		return (-1);
	}
	pthread_mutex_lock(&vcpu->lock);
	st->cr8 = lp->tpr >> 4;
	st->tsc_deadline = lp->tsc_deadline;
	error = vcpu->vm->accel->state_load(vcpu);
	if (error == 0) {
		lapic_from(vcpu, &k, lp);
		kvm_cpu(vcpu)->md->left = get32(&k, L_CUR_COUNT);
		kvm_cpu(vcpu)->md->deadline = st->tsc_deadline;
		kvm_cpu(vcpu)->md->stands = true;
		if (kvm_ioctl(kvm_cpu(vcpu)->fd, KVM_SET_LAPIC, &k) != 0)
			error = vm_fail_sys(errno, "vcpu %d: kvm does not take the state of the local APIC", vcpu->id);
		else if (st->tsc_deadline != 0)
			(void)kvm_msr_set(vcpu, MSR_TSC_DEADLINE, st->tsc_deadline);
	}
	vcpu->in_accel = vcpu->page_valid = error == 0;
	pthread_mutex_unlock(&vcpu->lock);
	free(lp);
	return (error);
}

int
kvm_md_vm_load(struct vmctx *vm, struct vm_state_in *in)
{
	struct apic *a = calloc(1, sizeof(*a));
	int error;

	if (a == NULL)
		return (vm_fail(ENOMEM, "vm '%s': state: out of memory", vm->name));
	error = vm_state_get(in, intc_apic.state, "", a);
	for (int i = 0; error == 0 && i < VM_MAXCPU; i++) {
		if (vm->vcpus[i] != NULL)
			error = load_cpu(vm->vcpus[i], in);
	}
	/* Last: what is pending in them goes to local APICs. */
	if (error == 0)
		error = chips_load(vm, a);
	free(a);
	return (error);
}
