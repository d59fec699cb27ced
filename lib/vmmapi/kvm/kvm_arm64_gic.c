/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kvm_arm64_gic.c - the kernel's GICv3 and its interrupt translation service, and their state in the terms of the library's own
 * (arm64/gicv3.h): a stream has one form whoever modelled the controller, so that a VM can change its back end on the way.
 *
 * The interface is the kernel's Documentation/virt/kvm/devices/arm-vgic-v3.rst and arm-vgic-its.rst.  What the ITS maps and which LPIs are
 * pending goes with the guest's memory: the kernel writes it there when the state is saved, and reads it from there.
 *
 * The kernel's distributor has one enable bit for both groups, EnableGrp1, and its redistributors never sleep: GICD_CTLR.EnableGrp0 and
 * GICR_WAKER read as zero there, whatever a guest or a stream wrote.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../arm64/gicv3.h"
#include "kvm_arm64.h"

/* Distributor and redistributors (IHI 0069 12.8 to 12.11) */
#define	GICD_CTLR	0x0000U
#define	GICD_IIDR	0x0008U
#define	GICD_IROUTER	0x6000U
#define	GICR_CTLR	0x0000U
#define	GICR_PROPBASER	0x0070U
#define	GICR_PENDBASER	0x0078U
#define	GICR_SGI_BASE	0x10000U
#define	GIC_IGROUPR	0x0080U
#define	GIC_ISENABLER	0x0100U
#define	GIC_ICENABLER	0x0180U
#define	GIC_ISPENDR	0x0200U
#define	GIC_ISACTIVER	0x0300U
#define	GIC_ICACTIVER	0x0380U
#define	GIC_IPRIORITYR	0x0400U
#define	GIC_ICFGR	0x0c00U
#define	SGIS		0x0000ffffU

/* Interrupt translation service (IHI 0069 12.19) */
#define	GITS_CTLR	0x0000U
#define	GITS_IIDR	0x0004U
#define	GITS_CBASER	0x0080U
#define	GITS_CWRITER	0x0088U
#define	GITS_CREADR	0x0090U
#define	GITS_BASER	0x0100U
#define	IIDR_REVISION	0xf000U		/* of the form of tables in memory */

#define	ICC_CTLR_PRIBITS 0x700U		/* less one (IHI 0069 12.2.6) */

/*
 * One walk over the registers gives or takes them.  The first that the kernel refuses ends it: the rest are passed over.
 */
struct gic_io {
	struct vmctx	*vm;
	bool		 set;
	int		 cpu;		/* whose redistributor and CPU interface; -1: the distributor */
	bool		 failed;
};

static void
io(struct gic_io *io, int fd, uint32_t group, uint64_t attr, const char *name, int n, void *val)
{
	struct kvm_device_attr a = { .group = group, .attr = attr, .addr = (uintptr_t)val };
	char number[16];
	int error;

	if (io->failed || kvm_ioctl(fd, io->set ? KVM_SET_DEVICE_ATTR : KVM_GET_DEVICE_ATTR, &a) == 0)
		return;
	error = errno;
	io->failed = true;
	number[0] = '\0';
	if (n >= 0)
		(void)snprintf(number, sizeof(number), "%d", n);
	if (io->cpu < 0)
		(void)vm_fail_sys(error, "vm '%s': kvm does not %s %s%s", io->vm->name, io->set ? "take" : "give", name, number);
	else
		(void)vm_fail_sys(error, "vcpu %d: kvm does not %s %s%s", io->cpu, io->set ? "take" : "give", name, number);
}

static uint64_t
who(const struct gic_io *io)
{
	return (io->cpu < 0 ? 0 : (uint64_t)arm64_affinity(io->cpu) << KVM_DEV_ARM_VGIC_V3_MPIDR_SHIFT);
}

static void
io32(struct gic_io *g, const char *name, int n, uint32_t off, uint32_t *val)
{
	io(g, kvm_vm(g->vm)->md->gicfd, g->cpu < 0 ? KVM_DEV_ARM_VGIC_GRP_DIST_REGS : KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, who(g) | off, name,
	    n, val);
}

/* A doubleword register is given in halves. */
static void
io64(struct gic_io *g, const char *name, int n, uint32_t off, uint64_t *val)
{
	uint32_t half[2] = { (uint32_t)*val, (uint32_t)(*val >> 32) };

	io32(g, name, n, off, &half[0]);
	io32(g, name, n, off + 4, &half[1]);
	*val = half[0] | (uint64_t)half[1] << 32;
}

static void
io_icc(struct gic_io *g, const char *name, uint64_t reg, uint64_t *val)
{
	io(g, kvm_vm(g->vm)->md->gicfd, KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS, who(g) | reg, name, -1, val);
}

static void
io_its(struct gic_io *g, const char *name, int n, uint32_t off, uint64_t *val)
{
	io(g, kvm_vm(g->vm)->md->itsfd, KVM_DEV_ARM_VGIC_GRP_ITS_REGS, off, name, n, val);
}

static int
control(struct vmctx *vm, int fd, uint64_t what, const char *name)
{
	struct kvm_device_attr a = { .group = KVM_DEV_ARM_VGIC_GRP_CTRL, .attr = what };

	if (kvm_ioctl(fd, KVM_SET_DEVICE_ATTR, &a) == 0)
		return (0);
	return (vm_fail_sys(errno, "vm '%s': kvm cannot %s", vm->name, name));
}

/* SECTION: registers */

static void
io_priorities(struct gic_io *g, unsigned n, uint32_t frame, struct gic_bank *b)
{
	for (unsigned i = 0; i < 8; i++) {
		uint32_t val;

		memcpy(&val, &b->prio[4 * i], sizeof(val));	/* both are little-endian */
		io32(g, "GIC_IPRIORITYR", (int)(8 * n + i), frame + GIC_IPRIORITYR + 32 * n + 4 * i, &val);
		memcpy(&b->prio[4 * i], &val, sizeof(val));
	}
}

static void
io_triggers(struct gic_io *g, unsigned n, uint32_t frame, struct gic_bank *b)
{
	for (unsigned half = 0; half < 2; half++) {
		uint32_t val = 0;

		for (unsigned i = 0; i < 16; i++)
			val |= (b->edge >> (16 * half + i) & 1) << (2 * i + 1);
		io32(g, "GIC_ICFGR", (int)(2 * n + half), frame + GIC_ICFGR + 8 * n + 4 * half, &val);
		for (unsigned i = 0; i < 16 && !g->set; i++)
			b->edge |= (val >> (2 * i + 1) & 1) << (16 * half + i);
	}
}

/* INTIDs 32 * n and up.  What is there before is cleared, and an interrupt becomes pending when all else of it is there. */
static void
io_bank(struct gic_io *g, unsigned n, struct gic_bank *b)
{
	uint32_t frame = g->cpu < 0 ? 0 : GICR_SGI_BASE, all = UINT32_MAX, latch = b->latch;

	if (g->set) {
		io32(g, "GIC_ICENABLER", (int)n, frame + GIC_ICENABLER + 4 * n, &all);
		io32(g, "GIC_ICACTIVER", (int)n, frame + GIC_ICACTIVER + 4 * n, &all);
		/* The kernel has no messages to the distributor; one that waits is a latch, which has it come once. */
		latch |= b->msg & ~b->edge;
	}
	io32(g, "GIC_IGROUPR", (int)n, frame + GIC_IGROUPR + 4 * n, &b->group);
	io_priorities(g, n, frame, b);
	io_triggers(g, n, frame, b);
	io32(g, "GIC_ISENABLER", (int)n, frame + GIC_ISENABLER + 4 * n, &b->enable);
	io(g, kvm_vm(g->vm)->md->gicfd, KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO,
	    who(g) | (uint64_t)VGIC_LEVEL_INFO_LINE_LEVEL << KVM_DEV_ARM_VGIC_LINE_LEVEL_INFO_SHIFT | 32 * n, "the levels of lines of bank ", (int)n,
	    &b->level);
	io32(g, "GIC_ISPENDR", (int)n, frame + GIC_ISPENDR + 4 * n, &latch);
	io32(g, "GIC_ISACTIVER", (int)n, frame + GIC_ISACTIVER + 4 * n, &b->active);
	if (!g->set)
		b->latch = latch;
}

/*
 * The distributor is on while it is loaded, and gets its own GICD_CTLR at last: what becomes pending while it is off is never signalled by kernels
 * such as 6.1, also not once it is on.
 */
static void
io_distributor(struct gic_io *g, struct gic *gic)
{
	uint32_t on = CTLR_GRP0 | CTLR_GRP1;

	g->cpu = -1;
	io32(g, "GICD_CTLR", -1, GICD_CTLR, g->set ? &on : &gic->ctlr);
	for (unsigned i = 0; i < ARM64_NSPI; i++)
		io64(g, "GICD_IROUTER", (int)(32 + i), GICD_IROUTER + 8 * (32 + i), &gic->router[i]);
	for (unsigned i = 0; i < NBANKS; i++)
		io_bank(g, i + 1, &gic->bank[i]);
}

/* The state of LPIs, of a redistributor that has them. */
static void
io_lpis(struct gic_io *g, struct gic_cpu *c)
{
	uint32_t off = 0;

	if (kvm_vm(g->vm)->md->itsfd < 0)
		return;
	if (g->set)
		io32(g, "GICR_CTLR", -1, GICR_CTLR, &off);
	io64(g, "GICR_PROPBASER", -1, GICR_PROPBASER, &c->propbaser);
	io64(g, "GICR_PENDBASER", -1, GICR_PENDBASER, &c->pendbaser);
	io32(g, "GICR_CTLR", -1, GICR_CTLR, &c->lpi_ctlr);
}

/* Active priorities are in registers of as many bits as there are priorities, of which the library has five bits. */
static int
check_active(struct gic_io *g, const struct gic_cpu *c, uint64_t ctlr)
{
	unsigned bits = (unsigned)(ctlr & ICC_CTLR_PRIBITS) / 0x100 + 1;

	if (bits == PRIO_BITS || (c->apr[0] | c->apr[1]) == 0)
		return (0);
	return (vm_fail(ENOTSUP, "vcpu %d: kvm: active priorities of interrupts are not to be had: ICC_CTLR_EL1 says %u bits of priority, and a "
	    "stream has %u", g->cpu, bits, PRIO_BITS));
}

static void
io_interface(struct gic_io *g, struct gic_cpu *c)
{
	struct gic_io get = { .vm = g->vm, .cpu = g->cpu };
	uint64_t ctlr = 0, val[8] = { c->pmr, c->bpr[0], c->bpr[1], c->apr[0], c->apr[1], c->igrpen[0], c->igrpen[1], 0 };

	/* What else is in ICC_CTLR_EL1 the kernel wants to see unchanged. */
	io_icc(&get, "ICC_CTLR_EL1", ICC_CTLR, &ctlr);
	g->failed = g->failed || get.failed;
	val[7] = (ctlr & ~(uint64_t)(ICC_CTLR_CBPR | ICC_CTLR_EOIMODE)) | c->ctlr;
	io_icc(g, "ICC_CTLR_EL1", ICC_CTLR, &val[7]);
	io_icc(g, "ICC_PMR_EL1", ICC_PMR, &val[0]);
	io_icc(g, "ICC_BPR0_EL1", ICC_BPR0, &val[1]);
	io_icc(g, "ICC_BPR1_EL1", ICC_BPR1, &val[2]);
	io_icc(g, "ICC_AP0R0_EL1", ICC_AP0R0, &val[3]);
	io_icc(g, "ICC_AP1R0_EL1", ICC_AP1R0, &val[4]);
	io_icc(g, "ICC_IGRPEN0_EL1", ICC_IGRPEN0, &val[5]);
	io_icc(g, "ICC_IGRPEN1_EL1", ICC_IGRPEN1, &val[6]);
	if (!g->set) {
		c->pmr = (uint8_t)(val[0] & PRIO_MASK);
		c->bpr[0] = (uint8_t)(val[1] < BPR0_MIN ? BPR0_MIN : val[1] & 7);
		c->bpr[1] = (uint8_t)(val[2] < BPR1_MIN ? BPR1_MIN : val[2] & 7);
		c->apr[0] = (uint32_t)val[3];
		c->apr[1] = (uint32_t)val[4];
		c->igrpen[0] = val[5] & 1;
		c->igrpen[1] = val[6] & 1;
		c->ctlr = (uint32_t)ctlr & (ICC_CTLR_CBPR | ICC_CTLR_EOIMODE);
	}
	if (!g->failed && check_active(g, c, ctlr) != 0)
		g->failed = true;
}

static void
io_cpu(struct gic_io *g, struct gic_cpu *c)
{
	g->cpu = c->vcpu->id;
	io_bank(g, 0, &c->bank);
	io_lpis(g, c);
	io_interface(g, c);
}

/* SECTION: the interrupt translation service */

/* Tables have the form that the library knows: revision 0. */
static int
check_tables(struct vmctx *vm)
{
	struct gic_io get = { .vm = vm, .cpu = -1 };
	uint64_t iidr = 0;

	io_its(&get, "GITS_IIDR", -1, GITS_IIDR, &iidr);
	if (get.failed)
		return (-1);
	if ((iidr & IIDR_REVISION) == 0)
		return (0);
	return (vm_fail(ENOTSUP, "vm '%s': kvm: GITS_IIDR is 0x%llx: tables of that revision are not known here", vm->name,
	    (unsigned long long)iidr));
}

static int
its_save(struct vmctx *vm, struct gic_its *its)
{
	struct kvm_md_vm *md = kvm_vm(vm)->md;
	struct gic_io g = { .vm = vm, .cpu = -1 };
	uint64_t ctlr = 0;

	if (md->itsfd < 0)
		return (0);
	if (check_tables(vm) != 0 || control(vm, md->itsfd, KVM_DEV_ARM_ITS_SAVE_TABLES, "write the ITS' tables to the guest's memory") != 0 ||
	    control(vm, md->gicfd, KVM_DEV_ARM_VGIC_SAVE_PENDING_TABLES, "write the tables of pending LPIs to the guest's memory") != 0)
		return (-1);
	io_its(&g, "GITS_CBASER", -1, GITS_CBASER, &its->cbaser);
	io_its(&g, "GITS_CWRITER", -1, GITS_CWRITER, &its->cwriter);
	io_its(&g, "GITS_CREADR", -1, GITS_CREADR, &its->creadr);
	for (unsigned i = 0; i < ITS_NBASER; i++)
		io_its(&g, "GITS_BASER", (int)i, GITS_BASER + 8 * i, &its->baser[i]);
	io_its(&g, "GITS_CTLR", -1, GITS_CTLR, &ctlr);
	its->ctlr = (uint32_t)ctlr & 1;
	return (g.failed ? -1 : 0);
}

/* In the order that the kernel's documentation demands: behind the redistributors, and GITS_CTLR last. */
static int
its_load(struct vmctx *vm, struct gic_its *its)
{
	struct kvm_md_vm *md = kvm_vm(vm)->md;
	struct gic_io g = { .vm = vm, .set = true, .cpu = -1 };
	uint64_t ctlr = its->ctlr & 1;

	if (md->itsfd < 0)
		return (0);
	if (check_tables(vm) != 0 || control(vm, md->itsfd, KVM_DEV_ARM_ITS_CTRL_RESET, "reset the ITS") != 0)
		return (-1);
	io_its(&g, "GITS_CBASER", -1, GITS_CBASER, &its->cbaser);
	for (unsigned i = 0; i < ITS_NBASER; i++)
		io_its(&g, "GITS_BASER", (int)i, GITS_BASER + 8 * i, &its->baser[i]);
	io_its(&g, "GITS_CWRITER", -1, GITS_CWRITER, &its->cwriter);
	io_its(&g, "GITS_CREADR", -1, GITS_CREADR, &its->creadr);
	if (g.failed || control(vm, md->itsfd, KVM_DEV_ARM_ITS_RESTORE_TABLES, "take the ITS' tables from the guest's memory") != 0)
		return (-1);
	io_its(&g, "GITS_CTLR", -1, GITS_CTLR, &ctlr);
	return (g.failed ? -1 : 0);
}

/* SECTION: life */

static int
set_attr(int fd, uint32_t group, uint64_t attr, void *val)
{
	struct kvm_device_attr a = { .group = group, .attr = attr, .addr = (uintptr_t)val };

	return (kvm_ioctl(fd, KVM_SET_DEVICE_ATTR, &a));
}

int
kvm_gic_create(struct vmctx *vm)
{
	struct kvm_create_device d = { .type = KVM_DEV_TYPE_ARM_VGIC_V3 };

	if (kvm_ioctl(kvm_vm(vm)->vmfd, KVM_CREATE_DEVICE, &d) != 0)
		return (vm_fail(ENOTSUP, "vm '%s': kvm: this host has no GICv3 for guests: %s", vm->name, strerror(errno)));
	kvm_vm(vm)->md->gicfd = (int)d.fd;
	return (0);
}

void
kvm_gic_destroy(struct vmctx *vm)
{
	struct kvm_md_vm *md = kvm_vm(vm)->md;

	if (md->itsfd >= 0)
		(void)close(md->itsfd);
	if (md->gicfd >= 0)
		(void)close(md->gicfd);
}

/* Behind the initialization of the controller that it belongs to. */
static int
its_finalize(struct vmctx *vm, uint64_t base)
{
	struct kvm_create_device d = { .type = KVM_DEV_TYPE_ARM_VGIC_ITS };
	struct kvm_md_vm *md = kvm_vm(vm)->md;

	if (base == 0)
		return (0);
	if (kvm_ioctl(kvm_vm(vm)->vmfd, KVM_CREATE_DEVICE, &d) != 0)
		return (vm_fail(ENOTSUP, "vm '%s': kvm: this host has no interrupt translation service for guests: %s", vm->name,
		    strerror(errno)));
	md->itsfd = (int)d.fd;
	if (set_attr(md->itsfd, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_ITS_ADDR_TYPE, &base) != 0 ||
	    set_attr(md->itsfd, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, NULL) != 0)
		return (vm_fail_sys(errno, "vm '%s': kvm: interrupt translation service at 0x%llx", vm->name,
		    (unsigned long long)base));
	return (0);
}

/* The kernel wants to be told that what it is is known. */
static void
confirm(struct vmctx *vm)
{
	struct gic_io get = { .vm = vm, .cpu = -1 }, set = { .vm = vm, .cpu = -1, .set = true };
	uint32_t iidr = 0;

	io32(&get, "GICD_IIDR", -1, GICD_IIDR, &iidr);
	if (!get.failed)
		io32(&set, "GICD_IIDR", -1, GICD_IIDR, &iidr);
}

int
kvm_gic_finalize(struct vmctx *vm)
{
	const struct arm64_vm *av = arm64_vm(vm);
	int fd = kvm_vm(vm)->md->gicfd;
	uint32_t nirqs = KVM_ARM64_NIRQS;
	uint64_t gicd, gicr;

	if (av == NULL)
		return (-1);
	gicd = av->gicd;
	gicr = av->gicr;
	if (set_attr(fd, KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, &nirqs) != 0 ||
	    set_attr(fd, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST, &gicd) != 0 ||
	    set_attr(fd, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST, &gicr) != 0 ||
	    set_attr(fd, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, NULL) != 0)
		return (vm_fail_sys(errno, "vm '%s': kvm: GICv3 with distributor 0x%llx, redistributors 0x%llx",
		    vm->name, (unsigned long long)gicd, (unsigned long long)gicr));
	confirm(vm);
	return (its_finalize(vm, av->its));
}

/* SECTION: streams */

static void
gic_free(struct gic *gic)
{
	for (unsigned i = 0; gic != NULL && i < gic->ncpus; i++)
		free(gic->cpus[i]);
	free(gic);
}

static struct gic *
gic_new(struct vmctx *vm)
{
	struct gic *gic = calloc(1, sizeof(*gic));

	for (unsigned i = 0; gic != NULL && i < VM_MAXCPU; i++) {
		struct gic_cpu *c;

		if (vm->vcpus[i] == NULL)
			continue;
		if ((c = calloc(1, sizeof(*c))) == NULL) {
			gic_free(gic);
			gic = NULL;
			break;
		}
		c->vcpu = vm->vcpus[i];
		gic->cpus[gic->ncpus++] = c;
	}
	if (gic == NULL)
		(void)vm_fail(ENOMEM, "vm '%s': state: out of memory", vm->name);
	return (gic);
}

/* What the library's own would say of it. */
static int
gic_get(struct vmctx *vm, struct gic *gic)
{
	struct gic_io g = { .vm = vm };

	if (its_save(vm, &gic->its) != 0)
		return (-1);
	io_distributor(&g, gic);
	gic->ctlr &= CTLR_GRP0 | CTLR_GRP1;
	for (unsigned i = 0; i < ARM64_NSPI; i++)
		gic->router[i] &= 0xff00ffffffULL;
	for (unsigned i = 0; i < gic->ncpus; i++) {
		struct gic_cpu *c = gic->cpus[i];

		io_cpu(&g, c);
		c->bank.edge |= SGIS;
		c->lpi_ctlr &= 1;
		c->propbaser &= PROPBASER_MASK;
		c->pendbaser &= PENDBASER_MASK;
	}
	return (g.failed ? -1 : 0);
}

static int
gic_set(struct vmctx *vm, struct gic *gic)
{
	struct gic_io g = { .vm = vm, .set = true };
	struct kvm_vm *kv = kvm_vm(vm);

	io_distributor(&g, gic);
	for (unsigned i = 0; i < gic->ncpus; i++)
		io_cpu(&g, gic->cpus[i]);
	for (unsigned i = 0; i < ARM64_NSPI; i++)
		kv->eois[i].level = (gic->bank[i / 32].level >> i % 32 & 1) != 0;
	if (g.failed || its_load(vm, &gic->its) != 0)
		return (-1);
	g.cpu = -1;
	io32(&g, "GICD_CTLR", -1, GICD_CTLR, &gic->ctlr);
	return (g.failed ? -1 : 0);
}

/* Power-on state.  The levels at its inputs stay. */
int
kvm_gic_reset(struct vmctx *vm)
{
	struct gic *gic = gic_new(vm);
	struct gic_io g = { .vm = vm };
	int error = -1;

	if (gic == NULL)
		return (-1);
	io_distributor(&g, gic);
	gic->ctlr = 0;
	memset(gic->router, 0, sizeof(gic->router));
	for (unsigned i = 0; i < NBANKS; i++)
		gic->bank[i] = (struct gic_bank){ .level = gic->bank[i].level };
	for (unsigned i = 0; i < gic->ncpus; i++) {
		struct gic_cpu *c = gic->cpus[i];

		g.cpu = c->vcpu->id;
		io_bank(&g, 0, &c->bank);
		c->bank = (struct gic_bank){ .level = c->bank.level, .edge = SGIS };
		c->bpr[0] = BPR0_MIN;
		c->bpr[1] = BPR1_MIN;
	}
	if (!g.failed)
		error = gic_set(vm, gic);
	gic_free(gic);
	return (error);
}

int
kvm_md_vm_save(struct vmctx *vm, struct vm_state_out *out)
{
	struct gic *gic = gic_new(vm);
	char name[16];
	int error;

	if (gic == NULL)
		return (-1);
	error = gic_get(vm, gic);
	if (error == 0)
		error = vm_state_put(out, intc_gicv3.state, "", gic);
	for (unsigned i = 0; error == 0 && i < gic->ncpus; i++) {
		(void)snprintf(name, sizeof(name), "%d", gic->cpus[i]->vcpu->id);
		error = kvm_cpu_whole(gic->cpus[i]->vcpu);
		if (error == 0)
			error = vm_state_put(out, intc_gicv3.cpu_state, name, gic->cpus[i]);
	}
	gic_free(gic);
	return (error);
}

/* The kernel is to know at once who is off: a vCPU that runs may turn others on. */
static int
load_cpu(struct vcpu *vcpu)
{
	int error;

	pthread_mutex_lock(&vcpu->lock);
	error = vcpu->vm->accel->state_load(vcpu);
	vcpu->in_accel = vcpu->page_valid = error == 0;
	pthread_mutex_unlock(&vcpu->lock);
	return (error);
}

int
kvm_md_vm_load(struct vmctx *vm, struct vm_state_in *in)
{
	struct gic *gic = gic_new(vm);
	char name[16];
	int error;

	if (gic == NULL)
		return (-1);
	error = vm_state_get(in, intc_gicv3.state, "", gic);
	for (unsigned i = 0; error == 0 && i < gic->ncpus; i++) {
		(void)snprintf(name, sizeof(name), "%d", gic->cpus[i]->vcpu->id);
		error = vm_state_get(in, intc_gicv3.cpu_state, name, gic->cpus[i]);
		if (error == 0)
			error = kvm_cpu_accept(gic->cpus[i]->vcpu);
	}
	if (error == 0)
		kvm_counter_load(vm);
	for (unsigned i = 0; error == 0 && i < gic->ncpus; i++)
		error = load_cpu(gic->cpus[i]->vcpu);
	if (error == 0)
		error = gic_set(vm, gic);
	gic_free(gic);
	return (error);
}
