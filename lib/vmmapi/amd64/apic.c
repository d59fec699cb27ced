/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * apic.c - the amd64 interrupt controller: local APICs, I/O APIC and 8259 pair under one set of
 * interrupt lines.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "apic.h"

#define	IOAPIC_BASE	0xfec00000ULL
#define	IOAPIC_LEN	0x1000
#define	LAPIC_LEN	0x1000

/* Messages: bits 31:20 of the address (SDM vol. 3 10.11.1). */
#define	MSI_WINDOW	0xfeeULL
#define	MSI_LOGICAL	0x4U
#define	MSI_HINT	0x8U

struct lapic *
apic_lapic(struct apic *a, unsigned cpu)
{
	struct vcpu *vcpu = cpu < VM_MAXCPU ? a->vm->vcpus[cpu] : NULL;

	return (vcpu == NULL ? NULL : vcpu->intc);
}

/* Lock, and what is done after it */

void
apic_begin(struct apic *a, struct apic_work *w)
{
	memset(w, 0, sizeof(*w));
	pthread_mutex_lock(&a->lock);
}

/* The output of the 8259s is an input of the bootstrap processor's APIC. */
static void
update_pic(struct apic *a, struct apic_work *w)
{
	struct lapic *lp = apic_lapic(a, 0);

	if (lp != NULL)
		lapic_update(lp, w);
}

/*
 * INIT takes back a start-up message that was not looked at; of several start-up messages the first
 * counts (SDM vol. 3 8.4.4).
 */
static void
post(struct vcpu *vcpu, const struct apic_work *w, uint64_t bit)
{
	const uint32_t sipi = AMD64_EV_SIPI | 0xff00U;
	uint32_t old = atomic_load(&vcpu->md_events), new;

	do {
		new = old;
		if ((w->init & bit) != 0)
			new = (new & ~sipi) | AMD64_EV_INIT;
		if ((w->sipi & bit) != 0 && (new & AMD64_EV_SIPI) == 0)
			new |= AMD64_EV_SIPI | (uint32_t)w->sipi_vector << 8;
		if ((w->nmi & bit) != 0)
			new |= AMD64_EV_NMI;
	} while (!atomic_compare_exchange_weak(&vcpu->md_events, &old, new));
	vcpu_request(vcpu, REQ_MD);
}

/* Sources of level interrupts that ended; then the inputs are open again. */
static void
ended(struct apic *a, struct apic_work *w)
{
	uint32_t pins = w->pins, lines = w->pic;

	w->pins = 0;
	w->pic = 0;
	for (unsigned i = 0; i < AMD64_NPINS; i++) {
		if ((pins & (1U << i)) != 0)
			lines |= 1U << (i == 2 ? 0 : i);
	}
	for (unsigned i = 0; i < AMD64_NLINES; i++) {
		if ((lines & (1U << i)) != 0)
			vm_intc_eoi(a->vm, i);
	}
	if (pins != 0) {
		pthread_mutex_lock(&a->lock);
		ioapic_reopen(a, pins, w);
		pthread_mutex_unlock(&a->lock);
	}
}

void
apic_finish(struct apic *a, struct apic_work *w)
{
	/* Only level-triggered inputs of the 8259s tell their ends. */
	w->pic &= (uint16_t)(a->pic.chip[0].elcr | a->pic.chip[1].elcr << 8);
	pthread_mutex_unlock(&a->lock);
	if ((w->pins | w->pic) != 0)
		ended(a, w);
	for (uint64_t todo = w->init | w->sipi | w->nmi | w->notify; todo != 0; todo &= todo - 1) {
		uint64_t bit = todo & -todo;
		struct vcpu *vcpu = a->vm->vcpus[__builtin_ctzll(todo)];

		if (vcpu == NULL)
			continue;
		if (((w->init | w->sipi | w->nmi) & bit) != 0)
			post(vcpu, w, bit);
		if ((w->notify & bit) != 0)
			vcpu_notify(vcpu);
	}
}

/* Delivery */

/*
 * Lowest priority (SDM vol. 3 10.6.2.4): the first of those with the lowest, from where the last
 * arbitration ended.
 */
static uint64_t
arbitrate(struct apic *a, uint64_t targets)
{
	unsigned best = VM_MAXCPU, best_prio = 256;

	for (unsigned i = 0; i < VM_MAXCPU; i++) {
		unsigned cpu = (a->next + i) % VM_MAXCPU;
		struct lapic *lp = (targets >> cpu & 1) != 0 ? apic_lapic(a, cpu) : NULL;

		if (lp != NULL && lapic_accepting(lp) && lapic_ppr(lp) < best_prio) {
			best = cpu;
			best_prio = lapic_ppr(lp);
		}
	}
	if (best == VM_MAXCPU)
		return (0);
	a->next = (uint8_t)((best + 1) % VM_MAXCPU);
	return (1ULL << best);
}

bool
apic_send_to(struct apic *a, uint64_t targets, uint8_t mode, uint8_t vector, bool level, struct apic_work *w)
{
	bool taken = false;

	if (mode == APIC_LOWEST)
		targets = arbitrate(a, targets);
	for (unsigned i = 0; i < VM_MAXCPU; i++) {
		struct lapic *lp = (targets >> i & 1) != 0 ? apic_lapic(a, i) : NULL;
		uint64_t bit = 1ULL << i;

		if (lp == NULL || !lapic_enabled(lp))
			continue;
		switch (mode) {
		case APIC_FIXED:
		case APIC_LOWEST:
			taken |= lapic_accept(lp, vector, level, w);
			break;
		case APIC_NMI:
			w->nmi |= bit;
			taken = true;
			break;
		case APIC_INIT:
			lapic_init(lp);
			w->init |= bit;
			w->sipi &= ~bit;
			w->notify |= bit;
			taken = true;
			break;
		case APIC_SIPI:
			w->sipi |= bit;
			w->sipi_vector = vector;
			taken = true;
			break;
		default:
			/*
			 * There is no system-management mode, and the only source of ExtINT is the
			 * 8259 pair, which is wired to LINT0.
			 */
			break;
		}
	}
	return (taken);
}

bool
apic_send(struct apic *a, const struct apic_msg *msg, struct apic_work *w)
{
	uint64_t targets = 0;

	for (unsigned i = 0; i < VM_MAXCPU; i++) {
		struct lapic *lp = apic_lapic(a, i);

		if (lp != NULL && lapic_matches(lp, msg))
			targets |= 1ULL << i;
	}
	return (apic_send_to(a, targets, msg->mode, msg->vector, msg->level, w));
}

/* struct intc_ops: sources */

static void
apic_set_line(struct vmctx *vm, unsigned line, bool level)
{
	struct apic *a = vm->intc;
	struct apic_work w;

	/* Line 2 would be the 8259's cascade: nothing is connected to it. */
	if (line >= AMD64_NLINES || line == 2)
		return;
	apic_begin(a, &w);
	if (line < 16) {
		i8259_set(&a->pic, line, level);
		update_pic(a, &w);
	}
	ioapic_set(a, line == 0 ? 2 : line, level, &w);
	apic_finish(a, &w);
}

static int
apic_msi(struct vmctx *vm, uint32_t requester, uint64_t addr, uint32_t data)
{
	struct apic *a = vm->intc;
	struct apic_work w;
	struct apic_msg msg = {
		.dest = (uint32_t)(addr >> 12) & 0xff,
		.logical = (addr & MSI_LOGICAL) != 0,
		.vector = (uint8_t)data,
		.mode = (uint8_t)(data >> 8 & 7),
		.level = (data & 0x8000) != 0,
	};

	if (addr >> 20 != MSI_WINDOW) {
		return (vm_fail(EINVAL, "vm '%s': message address %#llx is not that of an interrupt", vm->name,
		    (unsigned long long)addr));
	}
	/* A level that goes away has no meaning for an APIC. */
	if (msg.level && (data & 0x4000) == 0)
		return (0);
	/* The redirection hint asks for one of several (10.11.1). */
	if (msg.mode == APIC_FIXED && (addr & MSI_HINT) != 0 && msg.logical)
		msg.mode = APIC_LOWEST;
	apic_begin(a, &w);
	(void)apic_send(a, &msg, &w);
	apic_finish(a, &w);
	return (0);
}

/* struct intc_ops: CPU */

/*
 * The CPU's side changed CR8 or IA32_APIC_BASE since the last look, or the APIC's has news for it.
 */
static bool
stale(struct lapic *lp)
{
	const struct amd64_state *st = lp->vcpu->state;

	return (atomic_load_explicit(&lp->resync, memory_order_relaxed) ||
	    st->cr8 != atomic_load_explicit(&lp->cr8, memory_order_relaxed) ||
	    st->apic_base != atomic_load_explicit(&lp->base, memory_order_relaxed));
}

static bool
apic_pending(struct vcpu *vcpu)
{
	struct lapic *lp = vcpu->intc;

	if (lp == NULL)
		return (false);
	if (stale(lp)) {
		struct apic_work w = { 0 };

		/* Whoever asks sees the result: nobody needs to be told. */
		pthread_mutex_lock(&lp->apic->lock);
		lapic_sync(lp);
		lapic_update(lp, &w);
		pthread_mutex_unlock(&lp->apic->lock);
	}
	return (atomic_load(&lp->out));
}

static int
apic_ack(struct vcpu *vcpu)
{
	struct lapic *lp = vcpu->intc;
	struct apic_work w;
	int vector;

	if (lp == NULL)
		return (-1);
	apic_begin(lp->apic, &w);
	lapic_sync(lp);
	vector = lapic_ack(lp, &w);
	apic_finish(lp->apic, &w);
	return (vector);
}

static bool
apic_sysreg(struct vcpu *vcpu, uint64_t reg, bool write, uint64_t *val)
{
	struct lapic *lp = vcpu->intc;
	struct apic_work w;
	bool ok;

	if (lp == NULL)
		return (false);
	apic_begin(lp->apic, &w);
	lapic_sync(lp);
	ok = lapic_msr(lp, reg, write, val, &w);
	lapic_sync(lp);
	apic_finish(lp->apic, &w);
	return (ok);
}

/* Ranges */

/*
 * The page of local APIC registers, each 32 bits wide on a boundary of 16 bytes (SDM vol. 3
 * 10.4.1).  Without a vCPU (a debugger) it is that of vCPU 0.  An APIC that is off, in x2APIC mode
 * or was told another address decodes nothing here.
 */
static uint64_t
lapic_mmio_read(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size)
{
	struct apic *a = arg;
	struct lapic *lp = apic_lapic(a, vcpu == NULL ? 0 : (unsigned)vcpu->id);
	struct apic_work w;
	uint64_t val = ~0ULL;

	if (lp == NULL)
		return (val);
	apic_begin(a, &w);
	if (vcpu != NULL)
		lapic_sync(lp);
	if (lapic_decodes(lp))
		val = (off & 0xf) < 4 ? (uint64_t)lapic_read(lp, (unsigned)(off >> 4)) >> (8 * (off & 3)) : 0;
	apic_finish(a, &w);
	return (val);
}

static void
lapic_mmio_write(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size, uint64_t val)
{
	struct apic *a = arg;
	struct lapic *lp = apic_lapic(a, vcpu == NULL ? 0 : (unsigned)vcpu->id);
	struct apic_work w;

	/* Other accesses are undefined; here they do nothing. */
	if (lp == NULL || size < 4 || (off & 0xf) != 0)
		return;
	apic_begin(a, &w);
	if (vcpu != NULL)
		lapic_sync(lp);
	if (lapic_decodes(lp))
		lapic_write(lp, (unsigned)(off >> 4), (uint32_t)val, &w);
	if (vcpu != NULL)
		lapic_sync(lp);
	apic_finish(a, &w);
}

static uint64_t
ioapic_mmio_read(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size)
{
	struct apic *a = arg;
	struct apic_work w;
	uint64_t val;

	apic_begin(a, &w);
	val = (off & 0xf) < 4 ? (uint64_t)ioapic_read(&a->ioapic, off & ~3ULL) >> (8 * (off & 3)) : 0;
	apic_finish(a, &w);
	return (val);
}

static void
ioapic_mmio_write(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size, uint64_t val)
{
	struct apic *a = arg;
	struct apic_work w;

	/* The select register has one byte; the others are written as 32 bits (82093AA 3.1). */
	if (off != 0 && size < 4)
		return;
	apic_begin(a, &w);
	ioapic_write(a, off, (uint32_t)val, &w);
	apic_finish(a, &w);
}

/*
 * 8259 ports: one range per chip, and one for the edge/level registers.  Wider accesses are bytes
 * at successive ports.
 */

static uint64_t
pic_read(struct apic *a, unsigned chip, uint64_t off, unsigned size)
{
	struct apic_work w;
	uint64_t val = ~0ULL;

	apic_begin(a, &w);
	for (unsigned i = 0; i < size && off + i < 2; i++) {
		uint64_t byte = i8259_read(&a->pic, chip, (unsigned)(off + i), &w.pic);

		val = (val & ~(0xffULL << (8 * i))) | byte << (8 * i);
	}
	update_pic(a, &w);
	apic_finish(a, &w);
	return (val);
}

static void
pic_write(struct apic *a, unsigned chip, uint64_t off, unsigned size, uint64_t val)
{
	struct apic_work w;

	apic_begin(a, &w);
	for (unsigned i = 0; i < size && off + i < 2; i++)
		i8259_write(&a->pic, chip, (unsigned)(off + i), (uint8_t)(val >> (8 * i)), &w.pic);
	update_pic(a, &w);
	apic_finish(a, &w);
}

static uint64_t
master_read(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size)
{
	return (pic_read(arg, 0, off, size));
}

static void
master_write(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size, uint64_t val)
{
	pic_write(arg, 0, off, size, val);
}

static uint64_t
slave_read(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size)
{
	return (pic_read(arg, 1, off, size));
}

static void
slave_write(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size, uint64_t val)
{
	pic_write(arg, 1, off, size, val);
}

static uint64_t
elcr_read(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size)
{
	struct apic *a = arg;
	uint64_t val;

	pthread_mutex_lock(&a->lock);
	val = (a->pic.chip[0].elcr | (uint64_t)a->pic.chip[1].elcr << 8 | ~0xffffULL) >> (8 * off);
	pthread_mutex_unlock(&a->lock);
	return (val);
}

static void
elcr_write(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size, uint64_t val)
{
	struct apic *a = arg;
	struct apic_work w;

	apic_begin(a, &w);
	for (unsigned i = 0; i < size && off + i < 2; i++)
		i8259_set_elcr(&a->pic, (unsigned)(off + i), (uint8_t)(val >> (8 * i)));
	update_pic(a, &w);
	apic_finish(a, &w);
}

/* Life */

static void
apic_destroy(struct vmctx *vm)
{
	struct apic *a = vm->intc;

	if (a == NULL)
		return;
	for (unsigned i = 0; i < a->nranges; i++)
		vm_range_remove(a->range[i]);
	(void)vm_range_sync(vm);
	for (unsigned i = 0; i < VM_MAXCPU; i++) {
		if (vm->vcpus[i] != NULL)
			lapic_destroy(vm->vcpus[i]);
	}
	vm->intc = NULL;
	pthread_mutex_destroy(&a->lock);
	free(a);
}

static int
claim(struct apic *a)
{
	const struct vm_range_spec specs[] = {
		{ .name = "local APIC", .space = VM_SPACE_MEM, .base = APIC_DEFAULT, .len = LAPIC_LEN,
		  .read = lapic_mmio_read, .write = lapic_mmio_write },
		{ .name = "I/O APIC", .space = VM_SPACE_MEM, .base = IOAPIC_BASE, .len = IOAPIC_LEN,
		  .read = ioapic_mmio_read, .write = ioapic_mmio_write },
		{ .name = "8259 master", .space = VM_SPACE_IO, .base = 0x20, .len = 2,
		  .read = master_read, .write = master_write },
		{ .name = "8259 slave", .space = VM_SPACE_IO, .base = 0xa0, .len = 2,
		  .read = slave_read, .write = slave_write },
		{ .name = "8259 ELCR", .space = VM_SPACE_IO, .base = 0x4d0, .len = 2,
		  .read = elcr_read, .write = elcr_write },
	};

	for (size_t i = 0; i < nitems(specs); i++) {
		struct vm_range_spec spec = specs[i];

		spec.arg = a;
		a->range[a->nranges] = vm_range_add(a->vm, &spec);
		if (a->range[a->nranges] == NULL)
			return (-1);
		a->nranges++;
	}
	return (0);
}

static int
apic_create(struct vmctx *vm)
{
	struct apic *a = calloc(1, sizeof(*a));

	if (a == NULL)
		return (vm_fail(ENOMEM, "vm '%s': no memory for its interrupt controller", vm->name));
	a->vm = vm;
	pthread_mutex_init(&a->lock, NULL);
	i8259_reset(&a->pic);
	ioapic_reset(&a->ioapic);
	vm->intc = a;
	for (unsigned i = 0; i < VM_MAXCPU; i++) {
		if (vm->vcpus[i] != NULL && lapic_create(a, vm->vcpus[i]) != 0)
			goto fail;
	}
	if (claim(a) != 0)
		goto fail;
	return (0);
fail:
	apic_destroy(vm);
	return (-1);
}

static void
apic_reset(struct vmctx *vm)
{
	struct apic *a = vm->intc;
	struct apic_work w;

	apic_begin(a, &w);
	i8259_reset(&a->pic);
	ioapic_reset(&a->ioapic);
	a->next = 0;
	for (unsigned i = 0; i < VM_MAXCPU; i++) {
		struct lapic *lp = apic_lapic(a, i);

		if (lp != NULL)
			lapic_reset(lp);
	}
	apic_finish(a, &w);
}

void
amd64_apic_reset(struct vcpu *vcpu)
{
	struct lapic *lp = vcpu->intc;

	if (lp == NULL)
		return;
	pthread_mutex_lock(&lp->apic->lock);
	lapic_reset(lp);
	pthread_mutex_unlock(&lp->apic->lock);
}

static void
apic_loaded(struct vmctx *vm)
{
	struct apic *a = vm->intc;
	struct apic_work w;

	apic_begin(a, &w);
	for (unsigned i = 0; i < VM_MAXCPU; i++) {
		struct lapic *lp = apic_lapic(a, i);

		if (lp == NULL)
			continue;
		lapic_loaded(lp);
		lapic_update(lp, &w);
		w.notify |= 1ULL << i;
	}
	apic_finish(a, &w);
}

static int
apic_check(void *obj)
{
	const struct apic *a = obj;

	return (a->next >= VM_MAXCPU ? vm_state_complain("interrupt controller: no vCPU %u", a->next) : 0);
}

static const struct vm_state_field apic_fields[] = {
	VM_STATE_STRUCT(struct apic, pic, &i8259_pair_table),
	VM_STATE_STRUCT(struct apic, ioapic, &ioapic_table),
	VM_STATE_U8(struct apic, next),
};

static const struct vm_state_table apic_table = VM_STATE_TABLE("apic", 1, 1, apic_fields, apic_check);

const struct intc_ops intc_apic = {
	.name = "apic",
	.create = apic_create,
	.destroy = apic_destroy,
	.reset = apic_reset,
	.set_line = apic_set_line,
	.msi = apic_msi,
	.pending = apic_pending,
	.ack = apic_ack,
	.sysreg = apic_sysreg,
	.state = &apic_table,
	.cpu_state = &lapic_table,
	.loaded = apic_loaded,
};
