/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * irq_targets.c - the controllers under the conformance suite.
 *
 * Each controller from two sides: its own code asked directly, as soft's processors ask it (struct intc_ops), and a guest that
 * programs it, takes its interrupts and ends them (payload agent), on soft and in the kernel.
 */
#include <vmmapi/arm64.h>

#include "../../lib/vmmapi/internal.h"
#include "irq_conformance.h"

#define	LAPIC		0xfee00000UL
#define	IOAPIC		0xfec00000UL

/* Arm IHI 0069 12.2; numbered as struct intc_ops says: Op0:Op1:CRn:CRm:Op2. */
#define	SYSREG(op0, op1, crn, crm, op2)							\
	((uint64_t)(op0) << 14 | (uint64_t)(op1) << 11 | (uint64_t)(crn) << 7 | (uint64_t)(crm) << 3 | (op2))
#define	ICC_PMR_EL1	SYSREG(3, 0, 4, 6, 0)
#define	ICC_IAR1_EL1	SYSREG(3, 0, 12, 12, 0)
#define	ICC_EOIR1_EL1	SYSREG(3, 0, 12, 12, 1)
#define	ICC_IGRPEN1_EL1	SYSREG(3, 0, 12, 12, 7)

/* Who makes the guest's accesses. */
struct side {
	void		(*store)(struct conf_target *t, uint64_t addr, uint32_t val);
	void		(*outb)(struct conf_target *t, uint16_t port, uint8_t val);
	int		(*take)(struct conf_target *t);		/* vector or INTID, -1 */
	void		(*gic_eoi)(struct conf_target *t, unsigned intid);
};

/* What a target is made of. */
struct make {
	const struct h_target *t;
	const struct side *side;
	bool		 pic;
	bool		 its;		/* messages are LPIs */
};

static const struct make *
make_of(const struct conf_target *t)
{
	return (t->kind->arg);
}

/* SECTION: the controller's code, without a guest */

static void
direct_access(struct conf_target *t, enum vm_space space, uint64_t addr, unsigned size, uint64_t val)
{
	CHECKF(vm_dispatch(t->ctx, t->h->cpu[0].vcpu, space, addr, size, true, &val), "nobody is at 0x%llx",
	    (unsigned long long)addr);
}

static void
direct_store(struct conf_target *t, uint64_t addr, uint32_t val)
{
	direct_access(t, VM_SPACE_MEM, addr, 4, val);
}

static void
direct_outb(struct conf_target *t, uint16_t port, uint8_t val)
{
	direct_access(t, VM_SPACE_IO, port, 1, val);
}

static uint64_t
direct_sysreg(struct conf_target *t, uint64_t reg, bool write, uint64_t val)
{
	CHECKF(t->ctx->intc_ops->sysreg(t->h->cpu[0].vcpu, reg, write, &val), "no system register 0x%llx",
	    (unsigned long long)reg);
	return (val);
}

static int
direct_take(struct conf_target *t)
{
	const struct intc_ops *ops = t->ctx->intc_ops;

	if (!ops->pending(t->h->cpu[0].vcpu))
		return (-1);
	if (ops->ack != NULL)
		return (ops->ack(t->h->cpu[0].vcpu));
	return ((int)direct_sysreg(t, ICC_IAR1_EL1, false, 0));
}

static void
direct_gic_eoi(struct conf_target *t, unsigned intid)
{
	(void)direct_sysreg(t, ICC_EOIR1_EL1, true, intid);
}

static const struct side direct = { direct_store, direct_outb, direct_take, direct_gic_eoi };

/* SECTION: a guest that does as it is told */

/* Run until the agent asks for a command or its argument, or reports. */
static struct vm_exit *
agent_run(struct conf_target *t)
{
	struct h_cpu *cpu = &t->h->cpu[0];
	char buf[256];

	OK(vm_run(cpu->vcpu, &cpu->exit));
	CHECKF(cpu->exit.code == VM_EXIT_IO || cpu->exit.code == VM_EXIT_MMIO, "the agent made exit %s",
	    h_exit_str(&cpu->exit, buf, sizeof(buf)));
	return (&cpu->exit);
}

/* The next exit is an access to this register of the control block. */
static uint32_t
agent_access(struct conf_target *t, unsigned reg, bool write)
{
	const struct vm_exit *exit = agent_run(t);
	bool io = exit->code == VM_EXIT_IO;
	char buf[256];

	CHECKF((io ? exit->u.io.port : exit->u.mmio.gpa) == t->h->a->ctl.addr + reg &&
	    (io ? exit->u.io.write : exit->u.mmio.write) == write, "the agent made exit %s",
	    h_exit_str(exit, buf, sizeof(buf)));
	return ((uint32_t)(io ? exit->u.io.data : exit->u.mmio.data));
}

static void
agent_tell(struct conf_target *t, uint64_t val)
{
	(void)agent_access(t, 0, false);
	OK(vm_exit_reply(t->h->cpu[0].vcpu, val));
}

static uint32_t
agent_answer(struct conf_target *t)
{
	return (agent_access(t, 4, true));
}

static void
agent_store(struct conf_target *t, uint64_t addr, uint32_t val)
{
	agent_tell(t, 1);
	agent_tell(t, addr);
	agent_tell(t, val);
}

static void
agent_outb(struct conf_target *t, uint16_t port, uint8_t val)
{
	agent_tell(t, 3);
	agent_tell(t, port);
	agent_tell(t, val);
}

static int
agent_take(struct conf_target *t)
{
	agent_tell(t, 5);
	(void)agent_access(t, 8, false);
	return ((int)agent_answer(t));
}

static void
agent_gic_eoi(struct conf_target *t, unsigned intid)
{
	agent_tell(t, 6);
	agent_tell(t, intid);
	/* The command was carried out when the next one is asked for; a load is a command without effects. */
	agent_tell(t, 2);
	agent_tell(t, t->h->a->params);
	(void)agent_answer(t);
}

/* As above: wait for stores to have happened. */
static void
agent_settle(struct conf_target *t)
{
	if (make_of(t)->side->store != agent_store)
		return;
	agent_tell(t, 2);
	agent_tell(t, t->h->a->params);
	(void)agent_answer(t);
}

static const struct side agent = { agent_store, agent_outb, agent_take, agent_gic_eoi };

/* SECTION: APIC: I/O APIC inputs 10 and 11 as vectors 0x40 and 0x50, messages as 0x60 and 0x70 */

static void
apic_program(struct conf_target *t, unsigned i, bool level, bool enabled)
{
	const struct side *s = make_of(t)->side;
	unsigned reg = 0x10 + 2 * t->line[i];

	s->store(t, IOAPIC, reg + 1);
	s->store(t, IOAPIC + 0x10, 0);
	s->store(t, IOAPIC, reg);
	s->store(t, IOAPIC + 0x10, (0x40 + 0x10 * i) | (level ? 1U << 15 : 0) | (enabled ? 0 : 1U << 16));
	agent_settle(t);
}

static int
apic_take(struct conf_target *t)
{
	int vector = make_of(t)->side->take(t);

	if (vector < 0)
		return (-1);
	CHECKF(vector % 0x10 == 0 && vector >= 0x40 && vector <= 0x70, "vector 0x%x", (unsigned)vector);
	return (vector < 0x60 ? (vector - 0x40) / 0x10 : CONF_MSG + (vector - 0x60) / 0x10);
}

static void
apic_eoi(struct conf_target *t, int id)
{
	make_of(t)->side->store(t, LAPIC + 0xb0, 0);
	agent_settle(t);
}

static void
apic_message(struct conf_target *t, unsigned n, uint64_t *addr, uint32_t *data)
{
	*addr = LAPIC;
	*data = 0x60 + 0x10 * n;
}

static void
apic_open(struct conf_target *t)
{
	t->line[0] = 10;
	t->line[1] = 11;
	/* The 8259s have the lines too: mask them (OCW1). */
	make_of(t)->side->outb(t, 0x21, 0xff);
	make_of(t)->side->outb(t, 0xa1, 0xff);
	make_of(t)->side->store(t, LAPIC + 0xf0, 0x1ff);
}

/* SECTION: 8259 pair: inputs 5 and 10 as vectors 0x25 and 0x2a, through LINT0 */

static void
pic_open(struct conf_target *t)
{
	/* 8259A data sheet, ICW1 to ICW4 and OCW1. */
	static const struct {
		uint16_t	port;
		uint8_t		val;
	} init[] = {
		{ 0x20, 0x11 }, { 0xa0, 0x11 }, { 0x21, 0x20 }, { 0xa1, 0x28 }, { 0x21, 0x04 }, { 0xa1, 0x02 },
		{ 0x21, 0x01 }, { 0xa1, 0x01 }, { 0x21, 0xfb }, { 0xa1, 0xff },
	};
	const struct side *s = make_of(t)->side;

	t->line[0] = 5;
	t->line[1] = 10;
	s->store(t, LAPIC + 0xf0, 0x1ff);
	s->store(t, LAPIC + 0x350, 0x700);	/* LVT0: ExtINT */
	for (size_t i = 0; i < sizeof(init) / sizeof(init[0]); i++)
		s->outb(t, init[i].port, init[i].val);
}

static void
pic_program(struct conf_target *t, unsigned i, bool level, bool enabled)
{
	static const struct {
		uint16_t	elcr, mask;
		uint8_t		bit, others;
	} input[] = { { 0x4d0, 0x21, 1 << 5, 0xfb }, { 0x4d1, 0xa1, 1 << 2, 0xff } };
	const struct side *s = make_of(t)->side;

	s->outb(t, input[i].mask, input[i].others);
	s->outb(t, input[i].elcr, level ? input[i].bit : 0);
	if (enabled)
		s->outb(t, input[i].mask, input[i].others & (uint8_t)~input[i].bit);
	agent_settle(t);
}

static int
pic_take(struct conf_target *t)
{
	int vector = make_of(t)->side->take(t);

	/*
	 * An input that went away before it was acknowledged is a spurious interrupt of input 7, without an in-service bit to end (data
	 * sheet, "edge and level triggered modes").
	 */
	if (vector < 0 || vector == 0x27)
		return (-1);
	if (vector == 0x2f) {
		make_of(t)->side->outb(t, 0x20, 0x62);	/* the master's input 2 was real */
		agent_settle(t);
		return (-1);
	}
	CHECKF(vector == 0x25 || vector == 0x2a, "vector 0x%x", (unsigned)vector);
	return (vector == 0x2a);
}

static void
pic_eoi(struct conf_target *t, int id)
{
	const struct side *s = make_of(t)->side;

	if (id == 0) {
		s->outb(t, 0x20, 0x65);		/* specific EOI of input 5 */
	} else {
		s->outb(t, 0xa0, 0x62);
		s->outb(t, 0x20, 0x62);
	}
	agent_settle(t);
}

/* SECTION: GICv3: SPIs 8 and 20 as lines, 40 and 41 by message */

#define	GIC_MSG(n)	H_SPI(40 + (n))

/*
 * Messages by the interrupt translation service: LPIs 8192 and 8193 are events 0 and 1 of every device that sends.  The tables are in the
 * upper half of RAM, which the agent leaves alone (IHI 0069 chapter 5).
 */
#define	ITS		0x08080000UL
#define	ITS_MSG(n)	(8192U + (n))
#define	ITS_CONFIG	0x40800000UL
#define	ITS_PENDING	0x40810000UL
#define	ITS_QUEUE	0x40820000UL
#define	ITS_DEVICES	0x40830000UL
#define	ITS_COLLECTIONS	0x40840000UL
#define	ITS_ITT(dev)	(0x40850000UL + 0x1000UL * (dev))

static void
store64(struct conf_target *t, uint64_t addr, uint64_t val)
{
	make_of(t)->side->store(t, addr, (uint32_t)val);
	make_of(t)->side->store(t, addr + 4, (uint32_t)(val >> 32));
}

static unsigned
its_command(struct conf_target *t, unsigned n, uint64_t dw0, uint64_t dw1, uint64_t dw2)
{
	const uint64_t dw[4] = { dw0, dw1, dw2, 0 };

	for (unsigned i = 0; i < 4; i++)
		h_write(t->h, ITS_QUEUE + 32UL * n + 8 * i, dw[i], 8);
	return (n + 1);
}

static void
its_open(struct conf_target *t)
{
	const uint64_t valid = 1ULL << 63;
	unsigned n = 0;

	for (unsigned i = 0; i < CONF_NMSGS; i++)
		h_write(t->h, ITS_CONFIG + i, 0xa1, 1);
	store64(t, H_GICR + 0x70, ITS_CONFIG | 15);		/* GICR_PROPBASER, GICR_PENDBASER, GICR_CTLR */
	store64(t, H_GICR + 0x78, ITS_PENDING | 1ULL << 62);
	make_of(t)->side->store(t, H_GICR, 1);
	store64(t, ITS + 0x100, valid | ITS_DEVICES);		/* GITS_BASERn, GITS_CBASER */
	store64(t, ITS + 0x108, valid | ITS_COLLECTIONS);
	store64(t, ITS + 0x80, valid | ITS_QUEUE);
	n = its_command(t, n, 0x09, 0, valid);			/* MAPC collection 0 to processor 0 */
	for (unsigned dev = 8; dev <= 8 * CONF_NMSGS; dev += 8) {
		n = its_command(t, n, (uint64_t)dev << 32 | 0x08, 4, valid | ITS_ITT(dev));		/* MAPD */
		for (unsigned i = 0; i < CONF_NMSGS; i++)
			n = its_command(t, n, (uint64_t)dev << 32 | 0x0a, (uint64_t)ITS_MSG(i) << 32 | i, 0);	/* MAPTI */
	}
	make_of(t)->side->store(t, ITS, 1);			/* GITS_CTLR, GITS_CWRITER */
	store64(t, ITS + 0x88, 32ULL * n);
}

static void
gic_stores(struct conf_target *t, unsigned intid, bool level, bool enabled)
{
	struct h_store s[16];
	unsigned n = h_gic_stores(intid, level, enabled, s);

	for (unsigned i = 0; i < n; i++)
		make_of(t)->side->store(t, s[i].addr, (uint32_t)s[i].val);
}

static void
gic_program(struct conf_target *t, unsigned i, bool level, bool enabled)
{
	gic_stores(t, H_SPI(t->line[i]), level, enabled);
	agent_settle(t);
}

static unsigned
gic_msg(const struct conf_target *t, unsigned n)
{
	return (make_of(t)->its ? ITS_MSG(n) : GIC_MSG(n));
}

static int
gic_take(struct conf_target *t)
{
	int intid = make_of(t)->side->take(t);

	/* 1020 to 1023: it went away before it was acknowledged (IHI 0069 2.2.1). */
	if (intid < 0 || (intid >= 1020 && intid <= 1023))
		return (-1);
	for (unsigned i = 0; i < CONF_NLINES; i++) {
		if ((unsigned)intid == H_SPI(t->line[i]))
			return ((int)i);
	}
	CHECKF(intid >= (int)gic_msg(t, 0) && intid <= (int)gic_msg(t, 1), "interrupt %d", intid);
	return (CONF_MSG + intid - (int)gic_msg(t, 0));
}

static void
gic_eoi(struct conf_target *t, int id)
{
	make_of(t)->side->gic_eoi(t, id < CONF_MSG ? H_SPI(t->line[id]) : gic_msg(t, (unsigned)id - CONF_MSG));
}

static void
gic_message(struct conf_target *t, unsigned n, uint64_t *addr, uint32_t *data)
{
	*addr = make_of(t)->its ? ITS + 0x10040 : H_GICD + 0x40;
	*data = make_of(t)->its ? n : GIC_MSG(n);
}

static void
gic_open(struct conf_target *t)
{
	t->line[0] = 8;
	t->line[1] = 20;
	if (make_of(t)->side == &direct) {
		direct_store(t, H_GICR + 0x14, 0);	/* GICR_WAKER */
		(void)direct_sysreg(t, ICC_PMR_EL1, true, 0xff);
		(void)direct_sysreg(t, ICC_IGRPEN1_EL1, true, 1);
	}
	for (unsigned n = 0; n < CONF_NMSGS; n++)
		gic_stores(t, GIC_MSG(n), false, true);
	if (make_of(t)->its)
		its_open(t);
}

/* SECTION: the list */

static struct conf_target *
target_new(const struct conf_kind *kind)
{
	const struct make *m = kind->arg;
	const struct h_opts o = { .no_control = true, .moves = true };
	struct conf_target *t = calloc(1, sizeof(*t));

	CHECK(t != NULL);
	t->kind = kind;
	t->h = h_open(m->t, "agent", &o);
	t->ctx = t->h->ctx;
	if (m->its)
		OK(vm_attach_its(t->ctx, ITS));
	return (t);
}

static struct conf_target *
target_open(const struct conf_kind *kind)
{
	const struct make *m = kind->arg;
	struct conf_target *t = target_new(kind);

	OK(vm_start(t->ctx));
	if (m->pic)
		pic_open(t);
	else if (m->t->arch == VM_ARCH_AMD64)
		apic_open(t);
	else
		gic_open(t);
	agent_settle(t);
	return (t);
}

static void
target_close(struct conf_target *t)
{
	h_close(t->h);
	free(t);
}

static const struct conf_kind *kind_on(const struct conf_kind *kind, const struct h_target *to);

/* The agent was told nothing that it has not done, and its RAM goes along. */
static struct conf_target *
target_move(struct conf_target *t, unsigned to)
{
	const struct conf_kind *kind = kind_on(t->kind, &h_targets[to]);
	struct conf_target *n;
	struct vm_state_out *out;
	struct vm_state_in *in;
	const void *data, *s;
	const char *why;
	size_t len;
	void *d;

	if (kind == NULL || !h_usable(&h_targets[to], &why) || (kind->no_in_service != NULL && kind->no_in_service(kind) != NULL))
		return (NULL);
	agent_settle(t);
	n = target_new(kind);
	memcpy(n->line, t->line, sizeof(n->line));
	PTR(out = vm_state_out_open());
	OK(vm_state_save(t->ctx, out));
	PTR(data = vm_state_out_data(out, &len));
	PTR(s = vm_map_read(t->ctx, t->h->a->ram, H_RAM));
	PTR(d = vm_map_gpa(n->ctx, n->h->a->ram, H_RAM));
	memcpy(d, s, H_RAM);
	if (h_targets[to].arch == VM_ARCH_AMD64)
		h_param(n->h, 15, 0);			/* kvm may have no IRET */
	PTR(in = vm_state_in_open(data, len));
	if (vm_state_load(n->ctx, in) != 0) {
		/* A processor that this back end does not have. */
		CHECKF(to != (unsigned)(make_of(t)->t - h_targets) && errno == ENOTSUP, "%s", vm_errmsg());
		target_close(n);
		n = NULL;
	} else {
		OK(vm_state_in_done(in));
	}
	vm_state_in_close(in);
	vm_state_out_close(out);
	return (n);
}

static const char *
apic_no_in_service(const struct conf_kind *kind)
{
	return (h_no_in_service(((const struct make *)kind->arg)->t));
}

#define	APIC_KIND(nm, mk, mv) {								\
	.name = (nm), .has_msi = true, .open = target_open, .close = target_close,	\
	.program = apic_program, .take = apic_take, .eoi = apic_eoi,			\
	.message = apic_message, .no_in_service = apic_no_in_service, .move = (mv), .arg = (mk) }
#define	PIC_KIND(nm, mk, mv) {								\
	.name = (nm), .has_msi = false, .open = target_open, .close = target_close,	\
	.program = pic_program, .take = pic_take, .eoi = pic_eoi, .move = (mv), .arg = (mk) }
#define	GIC_KIND(nm, mk, mv) {								\
	.name = (nm), .has_msi = true, .open = target_open, .close = target_close,	\
	.program = gic_program, .take = gic_take, .eoi = gic_eoi,			\
	.message = gic_message, .move = (mv), .arg = (mk) }

static const struct make apic_direct = { &h_targets[0], &direct, false, false };
static const struct make apic_soft = { &h_targets[0], &agent, false, false };
static const struct make apic_kvm = { &h_targets[2], &agent, false, false };
static const struct make pic_direct = { &h_targets[0], &direct, true, false };
static const struct make pic_soft = { &h_targets[0], &agent, true, false };
static const struct make pic_kvm = { &h_targets[2], &agent, true, false };
static const struct make gic_direct = { &h_targets[1], &direct, false, false };
static const struct make gic_soft = { &h_targets[1], &agent, false, false };
static const struct make gic_kvm = { &h_targets[3], &agent, false, false };

static const struct make its_direct = { &h_targets[1], &direct, false, true };
static const struct make its_soft = { &h_targets[1], &agent, false, true };
static const struct make its_kvm = { &h_targets[3], &agent, false, true };

static const struct conf_kind kinds[] = {
	APIC_KIND("apic", &apic_direct, NULL),
	APIC_KIND("apic-guest-soft", &apic_soft, target_move),
	APIC_KIND("apic-guest-kvm", &apic_kvm, target_move),
	PIC_KIND("i8259", &pic_direct, NULL),
	PIC_KIND("i8259-guest-soft", &pic_soft, target_move),
	PIC_KIND("i8259-guest-kvm", &pic_kvm, target_move),
	GIC_KIND("gicv3", &gic_direct, NULL),
	GIC_KIND("gicv3-guest-soft", &gic_soft, target_move),
	GIC_KIND("gicv3-guest-kvm", &gic_kvm, target_move),
	GIC_KIND("gicv3-its", &its_direct, NULL),
	GIC_KIND("gicv3-its-guest-soft", &its_soft, target_move),
	GIC_KIND("gicv3-its-guest-kvm", &its_kvm, target_move),
};

/* The kind that has the same controller there. */
static const struct conf_kind *
kind_on(const struct conf_kind *kind, const struct h_target *to)
{
	const struct make *m = kind->arg;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		const struct make *o = kinds[i].arg;

		if (o->t == to && o->t->arch == m->t->arch && o->side == m->side && o->pic == m->pic && o->its == m->its)
			return (&kinds[i]);
	}
	return (NULL);
}

__attribute__((constructor)) static void
register_kinds(void)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		conf_register(&kinds[i]);
}
